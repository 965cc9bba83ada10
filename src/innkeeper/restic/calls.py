"""Calls of restic on one repository: what every one of them has in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from innkeeper.core.ports.snapshots import Repository
from innkeeper.core.snapshot_errors import TargetUnknown
from innkeeper.restic import said
from innkeeper.restic.run import PATIENCE_S, Run, running
from innkeeper.restic.sandbox import CACHE, REPOSITORY, SOURCE, Sandbox
from innkeeper.restic.targets import Target

_PASSWORD, _SOURCE_PASSWORD = "password", "source-password"


class Keys(Protocol):
    """What opens repositories."""

    def repository_password(self, owner: str) -> str:
        """The owner's; raises KeyDestroyed, KeyringFault. It reads a file, and never makes a key."""
        ...

    async def ready(self, owner: str) -> None:
        """Make the owner's key where there is none; raises KeyDestroyed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may take of this host and its line."""

    upload_kbps: int | None = None
    download_kbps: int | None = None
    cpus: int | None = None
    patience_s: float = PATIENCE_S


@dataclass(frozen=True, kw_only=True)
class Call:
    """A command, and what it needs beside its repository."""

    arguments: Sequence[str]
    doing: str
    """The beginning of a sentence that ends with "failed": "Taking a snapshot of alice"."""
    changes: bool = False
    """Whether it writes into the repository; else it takes no lock, and the repository is mounted read-only."""
    source: Repository | None = None
    reads: Mapping[str, Path] = field(default_factory=dict)
    writes: Mapping[str, Path] = field(default_factory=dict)
    restores: bool = False
    at: Path | None = None
    """The folder of the repository, where that isn't in its place yet."""


class Calls:
    """Makes them."""

    def __init__(
        self,
        targets: Sequence[Target],
        keys: Keys,
        cache: Path,
        *,
        limits: Limits | None = None,
        program: str = "restic",
    ) -> None:
        self.targets = {target.name: target for target in targets}
        self.keys = keys
        self._cache = cache
        self._limits = limits or Limits()
        self._program = program

    def target(self, name: str) -> Target:
        """The target of that name, or TargetUnknown."""
        try:
            return self.targets[name]
        except KeyError:
            raise TargetUnknown(f"There is no target {name[:40]!r} for backups.") from None

    def folder(self, repository: Repository) -> Path | None:
        """Where the repository lies on this host's disks; None for a far one."""
        base = self.target(repository.target).folder
        return None if base is None else base / repository.owner

    def cache(self, repository: Repository) -> Path:
        """Where what was fetched of a far one is kept."""
        return self._cache / repository.target / repository.owner

    async def lines(self, repository: Repository, call: Call) -> Sequence[bytes]:
        """Make the call, and give what it has printed."""
        async with self.running(repository, call) as run:
            printed = [line async for line in run.lines()]
            self.check(call, run, await run.ended())
        return printed

    def check(self, call: Call, run: Run, code: int) -> None:
        """Raise what the call has failed at."""
        if code:
            said.fail(call.doing, run.said, code, restoring=call.restores)

    @asynccontextmanager
    async def running(self, repository: Repository, call: Call) -> AsyncIterator[Run]:
        """A restic that runs on the repository while the block lasts."""
        far = any(self.folder(each) is None for each in (repository, call.source) if each is not None)
        sandbox = await self._sandbox(repository, call)
        arguments = [*self._where(repository, sandbox, far=far), *call.arguments]
        if not call.changes:
            arguments.insert(0, "--no-lock")
        patience_s = self._limits.patience_s if far else None
        async with running(self._program, arguments, sandbox, patience_s=patience_s) as run:
            yield run

    async def _sandbox(self, repository: Repository, call: Call) -> Sandbox:
        files = {_PASSWORD: await self._password(repository)}
        reads, writes, environment = dict(call.reads), dict(call.writes), {"RESTIC_PROGRESS_FPS": "1"}
        if self._limits.cpus is not None:
            environment["GOMAXPROCS"] = str(self._limits.cpus)
        sandbox = Sandbox(owners=call.restores)
        if call.source is not None:
            files[_SOURCE_PASSWORD] = await self._password(call.source)
            environment["RESTIC_FROM_PASSWORD_FILE"] = sandbox.file(_SOURCE_PASSWORD)
        for each, inside in ((repository, REPOSITORY), (call.source, SOURCE)):
            if each is None:
                continue
            folder = call.at if call.at is not None and each is repository else self.folder(each)
            if folder is not None:
                (writes if call.changes and each is repository else reads)[inside] = folder
                continue
            environment |= await self.target(each.target).credentials()
            cache = self.cache(each)
            await asyncio.to_thread(cache.mkdir, mode=0o700, parents=True, exist_ok=True)
            writes[CACHE] = cache
        far = CACHE in writes
        return replace(sandbox, reads=reads, writes=writes, files=files, environment=environment, network=far)

    def _where(self, repository: Repository, sandbox: Sandbox, *, far: bool) -> Sequence[str]:
        folder, limits = self.folder(repository), self._limits
        at = REPOSITORY if folder is not None else self.target(repository.target).at(repository.owner)
        found = ["--repo", at, "--password-file", sandbox.file(_PASSWORD)]
        # The cache saves what lies on a disk nothing.
        found += ["--cache-dir", CACHE] if far else ["--no-cache"]
        if far and limits.upload_kbps is not None:
            found += ["--limit-upload", str(limits.upload_kbps)]
        if far and limits.download_kbps is not None:
            found += ["--limit-download", str(limits.download_kbps)]
        return found

    async def _password(self, repository: Repository) -> bytes:
        return (await asyncio.to_thread(self.keys.repository_password, repository.owner)).encode()
