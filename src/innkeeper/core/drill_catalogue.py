"""Which snapshots could be drilled: those that the store knows to be good, else those that the targets list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from innkeeper.core.manifest import FOLDER
from innkeeper.core.ports import Store
from innkeeper.core.ports.snapshots import Repository, SnapshotStore
from innkeeper.core.snapshots import Snapshot, newest_good

SHORT = 8


@dataclass(frozen=True, kw_only=True)
class Drillable:
    """A snapshot, and where it lies nearest."""

    id: str
    """Ours (`snap_…`) where the store knows it, else that of its first copy."""
    repository: Repository
    copy: str
    """The id that it has there."""
    taken_at: datetime
    broken: Sequence[str] = ()
    """SQLite files of it that aren't whole, as they weren't in the tenant's folder."""

    def is_meant(self, asked: str) -> bool:
        """Whether one of its ids begins so."""
        return self.id.startswith(asked) or self.copy.startswith(asked)


def short_id(snapshot: str) -> str:
    """As much of an id as people read."""
    return snapshot if snapshot.startswith("snap_") else snapshot[:SHORT]


class SnapshotCatalogue:
    """A tenant's snapshots."""

    def __init__(self, *, store: Store, snapshots: SnapshotStore) -> None:
        self._store = store
        self._snapshots = snapshots

    async def newest(self, tenant_id: str) -> Drillable | None:
        """The newest good one; where the store knows of none, the newest that is listed."""
        async with self._store.look() as tx:
            recorded = await tx.snapshots.of(tenant_id)
        if recorded:
            good = newest_good(recorded)
            return None if good is None else self._nearest(good)
        return max(await self._listed(tenant_id), key=lambda each: each.taken_at, default=None)

    async def named(self, tenant_id: str, asked: str) -> Drillable | None:
        """The one of which an id begins so; None: none, or several."""
        async with self._store.look() as tx:
            recorded = [self._nearest(each) for each in await tx.snapshots.of(tenant_id)]
        found = [each for each in recorded if each is not None and each.is_meant(asked)]
        if not found:
            found = [each for each in await self._listed(tenant_id) if each.is_meant(asked)]
        return found[0] if len(found) == 1 else None

    def _nearest(self, snapshot: Snapshot) -> Drillable | None:
        copies = snapshot.whole_at or snapshot.copies
        for target in self._snapshots.targets:
            if (copy := copies.get(target)) is not None:
                return Drillable(
                    id=snapshot.id,
                    repository=Repository(target=target, owner=snapshot.owner),
                    copy=copy,
                    taken_at=snapshot.taken_at,
                    broken=sorted(snapshot.broken),
                )
        return None

    async def _listed(self, tenant_id: str) -> Sequence[Drillable]:
        """Without the copies of those that lie nearer."""
        found: dict[str, Drillable] = {}
        for target in self._snapshots.targets:
            repository = Repository(target=target, owner=tenant_id)
            for kept in await self._snapshots.listing(repository):
                first = kept.original or kept.id
                # The manifest goes into a snapshot last: without it, it is but the first pass of one.
                if FOLDER in kept.folders and first not in found:
                    found[first] = Drillable(id=first, repository=repository, copy=kept.id, taken_at=kept.at)
        return list(found.values())
