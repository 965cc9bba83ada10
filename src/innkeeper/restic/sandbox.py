"""What restic sees of this host, by bubblewrap: its own program, what it works on, and nothing else.

It has no /proc: a tenant that swaps a folder for a link while it is being read leads restic to none of its descriptors
and not to its environment. Files with secrets lie where nobody can guess, in a folder that only this run has.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from innkeeper.core.snapshot_errors import BackupToolMissing

REPOSITORY, SOURCE, INTO, CACHE = "/repository", "/source", "/into", "/cache"
"""Where in it a local repository lies, that which is copied from, the folder to restore into, the cache."""

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_TO_REACH_OTHERS = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/ssl",
    "/etc/pki",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
)
SSH = "/usr/bin/ssh"
_TO_SPEAK_SSH = (SSH, "/etc/passwd")
"""ssh doesn't run for a user without a line in passwd."""


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """What one run has."""

    reads: Mapping[str, Path] = field(default_factory=dict)
    """Path inside -> folder here, read-only."""
    writes: Mapping[str, Path] = field(default_factory=dict)
    """The same, writable."""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Name -> content: what it is to read as a file and must not lie on a disk."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    network: bool = False
    ssh: bool = False
    owners: bool = False
    """Whether it may give files away to other users, as a restore does."""
    hidden: str = field(default_factory=lambda: f"/run/{secrets.token_hex(16)}")
    """The folder of `files`."""

    def file(self, name: str) -> str:
        """Where the file lies inside."""
        return f"{self.hidden}/{name}"

    def argv(self, program: str, arguments: list[str], fds: Mapping[str, int], status: int) -> list[str]:
        """The whole command; `fds` are the descriptors that the files' contents are read from."""
        bwrap = shutil.which("bwrap")
        found = shutil.which(program)
        if bwrap is None or found is None:
            raise BackupToolMissing(f"{'bubblewrap' if bwrap is None else program} isn't installed.")
        restic = str(Path(found).resolve())
        return [
            bwrap,
            *("--die-with-parent", "--new-session", "--as-pid-1", "--json-status-fd", str(status)),
            *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "innkeeper"),
            # No user namespace for root: there everybody but root would be nobody, also in the snapshot.
            *(() if self.network else ("--unshare-net",)),
            *("--cap-drop", "ALL", "--cap-add", "CAP_DAC_OVERRIDE"),
            *(("--cap-add", "CAP_CHOWN", "--cap-add", "CAP_FOWNER", "--cap-add", "CAP_FSETID") if self.owners else ()),
            *("--tmpfs", "/tmp", "--dev", "/dev", "--chdir", "/tmp"),  # noqa: S108 - the sandbox's own
            *_each("--ro-bind-try", _LIBRARIES),
            *("--ro-bind", restic, restic),
            *(_each("--ro-bind-try", _TO_REACH_OTHERS) if self.network else ()),
            *(_each("--ro-bind-try", _TO_SPEAK_SSH) if self.ssh else ()),
            *_bound("--ro-bind", self.reads),
            *_bound("--bind", self.writes),
            *(each for name, fd in fds.items() for each in ("--ro-bind-data", str(fd), self.file(name))),
            *("--", restic, *arguments),
        ]


def _each(flag: str, paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        yield from (flag, path, path)


def _bound(flag: str, places: Mapping[str, Path]) -> Iterator[str]:
    for inside, here in places.items():
        yield from (flag, str(here), inside)
