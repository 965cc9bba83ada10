"""The shelf: which snapshots there are, of whom, and where; what one holds is taken from the first place that gives it.

Of a tenant of this house the store knows. Of others, after a loss say, only the repositories do, as far as the keyring
has their owners' keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from innkeeper.core.errors import Invalid, Problem
from innkeeper.core.ids import is_id
from innkeeper.core.manifest import FOLDER, PATH, READ_LIMIT_BYTES, Manifest, read_manifest
from innkeeper.core.ports.snapshots import CONTROL, Kept, Repository, SnapshotStore, Tell
from innkeeper.core.secrets import PLATFORM
from innkeeper.core.snapshot_errors import (
    BackupFailed,
    RepositoryLocked,
    SnapshotDamaged,
    SnapshotMissing,
    TargetRefused,
    TargetUnknown,
    TargetUnreachable,
)

_T = TypeVar("_T")

_ANOTHER_MAY_HAVE_IT = (
    BackupFailed,
    RepositoryLocked,
    SnapshotDamaged,
    SnapshotMissing,
    TargetRefused,
    TargetUnknown,
    TargetUnreachable,
)
AT_ONCE = 4
"""So many repositories are asked at the same time."""
SHORT = 8
"""So many digits of an id say which one is meant, if no other begins with them."""
SEVERAL = 5
"""So many of them are named where it could be several."""
LATEST = "latest"
"""What restic calls the newest one, too."""


@dataclass(frozen=True, kw_only=True)
class Restorable:
    """A snapshot that a tenant can be restored from."""

    id: str
    """Ours (`snap_…`) where the store knows it, else that of its first copy."""
    tenant: str
    """The name that it had then."""
    tenant_id: str
    taken_at: datetime
    copies: Mapping[str, str] = field(default_factory=dict)
    """By target, the id that it has there; the first is asked first."""
    bytes: int | None = None
    """Of all its files, where that is known."""
    is_good: bool = True
    """Whether it was looked through after it was written; of those that are merely listed nobody knows."""
    damaged: str | None = None
    """What is wrong with it, where that is known."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """SQLite files of it that aren't whole, as they weren't in the tenant's folder."""

    def is_meant(self, asked: str) -> bool:
        """Whether that is one of its ids, or how one begins."""
        digits = asked.removeprefix("snap_")
        return asked == self.id or (
            len(digits) >= SHORT and any(each.startswith(asked) for each in (self.id, *self.copies.values()))
        )


class Owners(Protocol):
    """Whose data keys there are."""

    def owners(self) -> Sequence[str]:
        """Those who have one; never on a loop's own thread."""
        ...


Recorded = Callable[[str], Awaitable[Sequence[Restorable]]]
"""The snapshots of the tenant with that id that the store knows to be whole, oldest first."""


async def none_recorded(_tenant_id: str) -> Sequence[Restorable]:
    """The store knows of none."""
    return ()


class Shelf:
    """Finds snapshots, and takes them down."""

    def __init__(self, snapshots: SnapshotStore, owners: Owners, *, recorded: Recorded = none_recorded) -> None:
        self._snapshots = snapshots
        self._owners = owners
        self._recorded = recorded

    # --- finding ------------------------------------------------------------------------------------------------------

    async def of(self, tenant_id: str) -> Sequence[Restorable]:
        """All of that tenant's, oldest first: as the store knows them, else as the targets list them.

        One target that doesn't answer is no reason not to use the other; raises its Problem where none does.
        """
        return await self._recorded(tenant_id) or await self._listed(tenant_id)

    async def find(
        self, tenant_id: str, *, snapshot: str | None = None, at: datetime | None = None, damaged_too: bool = False
    ) -> Restorable:
        """The one of that id, or of those that are good the newest, or the newest that was taken by `at`.

        Raises SnapshotMissing; SnapshotDamaged for one that is known to be, unless `damaged_too`; Invalid where it
        could be several.
        """
        if snapshot is not None and snapshot != LATEST:
            found = await self._meant(tenant_id, snapshot)
            if found.damaged is not None and not damaged_too:
                raise SnapshotDamaged(
                    f"The snapshot {found.id} is damaged: {found.damaged}",
                    hint="Restore another one; what is whole in it can be had with `--path`.",
                )
            return found
        whole = [each for each in await self.of(tenant_id) if each.damaged is None]
        good = [each for each in whole if each.is_good] or whole
        if not good:
            raise SnapshotMissing("There is no snapshot of it.")
        by_then = [each for each in good if at is None or each.taken_at <= at]
        if not by_then:
            raise SnapshotMissing(f"No snapshot is that old: the first is of {good[0].taken_at:%Y-%m-%d %H:%M:%S} UTC.")
        return by_then[-1]

    async def _meant(self, tenant_id: str, snapshot: str) -> Restorable:
        for look in (self._recorded, self._listed):
            meant = {each.id: each for each in await look(tenant_id) if each.is_meant(snapshot)}
            if len(meant) > 1 and snapshot not in meant:
                listed = ", ".join(list(meant)[-SEVERAL:])
                raise Invalid(f"{len(meant)} snapshots begin with {snapshot[:60]!r}: {listed}.", field="snapshot")
            if meant:
                return meant.get(snapshot) or next(iter(meant.values()))
        raise SnapshotMissing(f"There is no snapshot {snapshot[:60]!r} of it.")

    async def everybody(self, *, name: str | None = None, tenant_id: str | None = None) -> Sequence[Restorable]:
        """The newest snapshot of each tenant whose key is here, by name; of those that had that name, or of one.

        One whose repository can't be read is no reason not to tell of the others; raises its Problem where none can,
        or that of a target that doesn't answer where no other tells of anybody.
        """
        owners = [tenant_id] if tenant_id else await self._owners_listed()
        turns = asyncio.Semaphore(AT_ONCE)
        told: list[Problem] = []

        async def newest(owner: str) -> Restorable | None:
            async with turns:
                try:
                    found = [each for each in await self._listed(owner) if name in (None, each.tenant)]
                except Problem as problem:
                    told.append(problem)
                    return None
            return found[-1] if found else None

        found = [each for each in await asyncio.gather(*map(newest, owners)) if each]
        if told and not found:
            raise told[0]
        return sorted(found, key=lambda each: (each.tenant, each.taken_at))

    async def _owners_listed(self) -> Sequence[str]:
        with_key = [each for each in await asyncio.to_thread(self._owners.owners) if each not in (PLATFORM, CONTROL)]
        there: set[str] = set()
        told: list[Problem] = []
        for target in self._snapshots.targets:
            try:
                there |= set(await self._snapshots.owners(target, with_key))
            except Problem as problem:
                told.append(problem)
        if told and not there:
            raise told[0]
        return [each for each in with_key if each in there]

    async def _listed(self, tenant_id: str) -> Sequence[Restorable]:
        """As the targets list them; what is a copy of another is no other."""
        found: dict[str, Restorable] = {}
        told: list[Problem] = []
        for target in self._snapshots.targets:
            try:
                listing = await self._snapshots.listing(Repository(target=target, owner=tenant_id))
            except Problem as problem:
                told.append(problem)
                continue
            for kept in filter(_is_whole, listing):
                first = kept.original or kept.id
                known = found.get(first)
                copies = {**(known.copies if known else {}), target: kept.id}
                found[first] = Restorable(
                    id=_ours(kept) or first, tenant=kept.name, tenant_id=tenant_id, taken_at=kept.at, copies=copies
                )
        if told and not found:
            raise told[0]
        return sorted(found.values(), key=lambda each: (each.taken_at, each.id))

    # --- taking down --------------------------------------------------------------------------------------------------

    async def manifest(self, one: Restorable) -> Manifest:
        """What it says of its tenant; SnapshotDamaged where that is another tenant's, or can't be read."""

        async def read(repository: Repository, copy: str) -> Manifest:
            return read_manifest(await self._snapshots.read(repository, copy, PATH, limit=READ_LIMIT_BYTES))

        return await self._from_any(one, read)

    async def size(self, one: Restorable, under: str = "/") -> int:
        """How many bytes its files have, all or those at and below a path; SnapshotMissing where there are none."""
        if one.bytes is not None and under == "/":
            return one.bytes

        async def add_up(repository: Repository, copy: str) -> int:
            async with aclosing(self._snapshots.entries(repository, copy, under)) as entries:
                sizes = [entry.size async for entry in entries]
            if not sizes:
                raise SnapshotMissing(f"The snapshot {one.id} holds no {under.removeprefix('/persistence/')!r}.")
            return sum(sizes)

        return await self._from_any(one, add_up)

    async def restore(
        self,
        one: Restorable,
        begin: Callable[[], Awaitable[Path]],
        *,
        paths: Sequence[str] = (),
        tell: Tell | None = None,
    ) -> str:
        """Put it into the folder that `begin` gives, empty at each call; which target it came from."""

        async def take(repository: Repository, copy: str) -> str:
            await self._snapshots.restore(repository, copy, await begin(), paths=paths, tell=tell)
            return repository.target

        return await self._from_any(one, take)

    async def _from_any(self, one: Restorable, take: Callable[[Repository, str], Awaitable[_T]]) -> _T:
        """From the first place that gives it; raises what the first said where none does."""
        told: list[Problem] = []
        for target, copy in one.copies.items():
            try:
                return await take(Repository(target=target, owner=one.tenant_id), copy)
            except _ANOTHER_MAY_HAVE_IT as problem:
                told.append(problem)
        raise told[0] if told else SnapshotMissing(f"No target has the snapshot {one.id} any more.")


def _ours(kept: Kept) -> str | None:
    """Our own id of it, which all its copies carry."""
    tagged = (tag.removeprefix("id=") for tag in kept.tags if tag.startswith("id="))
    return next((each for each in tagged if is_id("snap", each)), None)


def _is_whole(kept: Kept) -> bool:
    """Whether it is one of a tenant with all that belongs to it: the manifest goes into the last pass only."""
    return FOLDER in kept.folders
