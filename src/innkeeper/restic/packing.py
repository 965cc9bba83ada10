"""What a run of restic takes with it: its repository, the passwords and credentials, the limits."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from innkeeper.restic.run import PATIENCE_S
from innkeeper.restic.sandbox import CACHE, SSH, Sandbox
from innkeeper.restic.targets import Target, access, located, sftp_place, ssh_words


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may take of this host and its line."""

    upload_kb_per_s: int | None = None
    download_kb_per_s: int | None = None
    cpus: int | None = None
    patience_s: float = PATIENCE_S
    """How long a far target may make no progress before it counts as gone."""


@dataclass(kw_only=True)
class Packing:
    """Collects it."""

    limits: Limits
    reads: dict[str, Path] = field(default_factory=dict)
    writes: dict[str, Path] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    far: bool = False
    _files: dict[str, bytes] = field(default_factory=dict, repr=False)
    _environment: dict[str, str] = field(default_factory=dict, repr=False)
    _ssh: bool = False
    _hidden: str = field(default_factory=lambda: f"/run/{secrets.token_hex(16)}")

    def add_near(self, inside: str, folder: Path, password: str, *, changes: bool, source: bool) -> None:
        """A repository on this host's disks."""
        (self.writes if changes else self.reads)[inside] = folder
        self._name(inside, password, source=source)

    def add_far(
        self, target: Target, owner: str, password: str, credentials: Mapping[str, str], cache: Path, *, source: bool
    ) -> None:
        """One that is reached over the network."""
        # Its URL, too, goes by a file: a rest-server's holds a password.
        self._name(located(target, owner, credentials), password, source=source)
        given = access(target, credentials)
        self._files.update(given.files)
        self._environment.update(given.environment)
        self._environment.update({name: self._place(file) for name, file in given.named.items()})
        self.writes[CACHE] = cache
        if target.kind == "sftp":
            self._ssh = True
            login, port, _ = sftp_place(target.url)
            words = [SSH, *ssh_words(target, self._place), *(["-p", port] if port else []), login, "-s", "sftp"]
            self.arguments += ["-o", f"sftp.command={' '.join(words)}"]
        if not self.far:
            self.far = True
            self.arguments += ["--cache-dir", CACHE]
            for flag, limit in (("upload", self.limits.upload_kb_per_s), ("download", self.limits.download_kb_per_s)):
                self.arguments += [f"--limit-{flag}", str(limit)] if limit is not None else []

    def sandbox(self, *, owners: bool) -> Sandbox:
        """All of it."""
        # A cache saves what lies on a disk nothing.
        self.arguments += [] if self.far else ["--no-cache"]
        cpus = {} if self.limits.cpus is None else {"GOMAXPROCS": str(self.limits.cpus)}
        return Sandbox(
            reads=self.reads,
            writes=self.writes,
            files=self._files,
            environment={"RESTIC_PROGRESS_FPS": "1", **cpus, **self._environment},
            network=self.far,
            ssh=self._ssh,
            owners=owners,
            hidden=self._hidden,
        )

    def _name(self, location: str, password: str, *, source: bool) -> None:
        prefix = "RESTIC_FROM_" if source else "RESTIC_"
        for what, content in (("REPOSITORY", location), ("PASSWORD", password)):
            name = f"{'source-' if source else ''}{what.lower()}"
            self._files[name] = content.encode()
            self._environment[f"{prefix}{what}_FILE"] = self._place(name)

    def _place(self, name: str) -> str:
        return f"{self._hidden}/{name}"
