"""Calls of restic on one repository: what every one of them has in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from innkeeper.core.ports.snapshots import Repository
from innkeeper.core.snapshot_errors import BackupFailed, TargetUnknown
from innkeeper.restic import said
from innkeeper.restic.packing import Limits, Packing
from innkeeper.restic.rest_shelf import RestShelf
from innkeeper.restic.run import Run, running
from innkeeper.restic.sandbox import REPOSITORY, SOURCE
from innkeeper.restic.sftp_shelf import SftpShelf
from innkeeper.restic.shelves import ObjectShelf, Shelf
from innkeeper.restic.targets import Target


class Keys(Protocol):
    """What opens repositories."""

    def repository_password(self, owner: str) -> str:
        """The owner's; raises KeyDestroyed, KeyringFault. It reads a file, and never makes a key."""
        ...

    async def ready(self, owner: str) -> None:
        """Make the owner's key where there is none; raises KeyDestroyed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Call:
    """A command, and what it needs beside its repository."""

    arguments: Sequence[str]
    doing: str
    """The beginning of a sentence that ends with "failed": "Taking a snapshot of alice"."""
    changes: bool = False
    """Whether it writes into the repository; else it takes no lock, and the repository is mounted read-only."""
    source: Repository | None = None
    """Where it copies from."""
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

    async def shelf(self, target: str) -> Shelf:
        """The far target by its own protocol."""
        it = self.target(target)
        credentials = await it.credentials()
        match it.kind:
            case "s3" | "gs" | "azure":
                return ObjectShelf(it, credentials)
            case "rest":
                return RestShelf(it, credentials)
            case "sftp":
                return SftpShelf(it, credentials)
        raise BackupFailed(f"A target of the kind {it.kind} can't be listed.")

    async def lines(self, repository: Repository, call: Call) -> Sequence[bytes]:
        """Make the call, and give what it has printed."""
        async with self.running(repository, call) as run:
            printed = [line async for line in run.lines()]
            self.check(call, run, await run.ended())
        return printed

    def check(self, call: Call, run: Run, code: int) -> None:
        """Raise what the call has failed at."""
        if run.gone_silent:
            said.fail_silent(call.doing, run.said)
        if code:
            said.fail(call.doing, run.said, code, restoring=call.restores, near=not run.patient)

    @asynccontextmanager
    async def running(self, repository: Repository, call: Call) -> AsyncIterator[Run]:
        """A restic that runs on the repository while the block lasts."""
        packing = Packing(limits=self._limits, reads=dict(call.reads), writes=dict(call.writes))
        await self._pack(packing, repository, call)
        if call.source is not None:
            await self._pack(packing, call.source, call, source=True)
        sandbox = packing.sandbox(owners=call.restores)
        arguments = [*packing.arguments, *([] if call.changes else ["--no-lock"]), *call.arguments]
        patience_s = self._limits.patience_s if packing.far else None
        async with running(self._program, arguments, sandbox, patience_s=patience_s) as run:
            yield run

    async def _pack(self, packing: Packing, repository: Repository, call: Call, *, source: bool = False) -> None:
        password = await asyncio.to_thread(self.keys.repository_password, repository.owner)
        folder = call.at if call.at is not None and not source else self.folder(repository)
        if folder is not None:
            inside, changes = (SOURCE, False) if source else (REPOSITORY, call.changes)
            packing.add_near(inside, folder, password, changes=changes, source=source)
            return
        target, cache = self.target(repository.target), self.cache(repository)
        await asyncio.to_thread(cache.mkdir, mode=0o700, parents=True, exist_ok=True)
        credentials = await target.credentials()
        await asyncio.to_thread(packing.add_far, target, repository.owner, password, credentials, cache, source=source)
