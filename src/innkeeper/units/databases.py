"""Whether SQLite files are whole, asked in a sandbox: somebody hostile may have made them."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from innkeeper.core.errors import UnitFault
from innkeeper.core.snapshot_errors import BackupToolMissing
from innkeeper.core.snapshots import DATABASES
from innkeeper.units.safe_tree import folder

WITHIN_S = 600.0
_LIBRARIES = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache")
_FOLDER = "/databases"
_SCRIPT = Path(__file__).with_name("database_check.py")
_JOURNALS = ("-wal", "-journal")
_TRIES = 3


def is_named_like_one(path: str, paths: Mapping[str, object]) -> bool:
    """Whether it is a database by its name, or by what lies beside it."""
    return path.endswith(DATABASES) or f"{path}-wal" in paths


def with_journals(databases: Sequence[str], there: Mapping[str, object]) -> list[str]:
    """Each with its journals, as far as there are any. The index of a log is made anew from it: it isn't needed."""
    return [each for path in databases for each in (path, *(path + end for end in _JOURNALS)) if each in there]


def unsound(at: Path, paths: Sequence[str]) -> dict[str, str]:
    """Those that aren't whole, with what SQLite says; raises UnitFault where it couldn't be asked."""
    if not paths:
        return {}
    try:
        run = subprocess.run(
            _command(at),
            input=json.dumps(paths).encode(errors="surrogateescape"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            timeout=WITHIN_S,
            check=True,
        )
        told = json.loads(run.stdout)
        return {_legible(str(path)): _legible(str(says))[:300] for path, says in told.items()}
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError) as error:
        raise UnitFault(f"The databases of a snapshot couldn't be looked through: {type(error).__name__}.") from error


def copied_still(top: int, path: str, to: Path) -> bool:
    """Copy the database that lies so deep below the open folder, with its journals; False where there is none, or where
    it is written to meanwhile, over and over: such a copy may be torn."""
    *folders, name = path.split("/")
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with folder(top, folders) as there:
            for _ in range(_TRIES):
                before = _stamps(there, name)
                for end in ("", *_JOURNALS):
                    _copy(there, name + end, to.with_name(to.name + end))
                if to.exists() and _stamps(there, name) == before:
                    return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    return False


def _stamps(there: int, name: str) -> list[tuple[int, int, int] | None]:
    found: list[tuple[int, int, int] | None] = []
    for end in ("", *_JOURNALS):
        try:
            its = os.stat(name + end, dir_fd=there, follow_symlinks=False)
            found.append((its.st_ino, its.st_size, its.st_mtime_ns))
        except FileNotFoundError:
            found.append(None)
    return found


def _copy(there: int, name: str, to: Path) -> None:
    to.unlink(missing_ok=True)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=there)
    except OSError:
        return
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            with to.open("xb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)


def _legible(text: str) -> str:
    """As it can be written down: a name needn't be UTF-8, and neither a database nor a response takes half of one."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _command(at: Path) -> list[str]:
    """Python and its libraries are all that is there, read-only, beside the folder."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise BackupToolMissing("bubblewrap isn't installed.")
    python = Path(sys.executable).resolve()
    seen = [*_LIBRARIES, sys.base_prefix, str(python), str(_SCRIPT)]
    return [
        bwrap,
        *("--die-with-parent", "--new-session", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--cap-drop", "ALL", "--cap-add", "CAP_DAC_OVERRIDE", "--tmpfs", "/tmp", "--dev", "/dev"),  # noqa: S108
        *(each for path in seen for each in ("--ro-bind-try", path, path)),
        *("--bind", str(at), _FOLDER, "--chdir", _FOLDER),
        *("--", str(python), "-I", "-S", str(_SCRIPT)),
    ]
