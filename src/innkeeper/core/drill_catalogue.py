"""Which snapshots could be drilled, as the targets list them."""

from __future__ import annotations

from collections.abc import Sequence

from innkeeper.core.manifest import FOLDER
from innkeeper.core.ports.snapshots import Kept, Repository, SnapshotStore


class ListedSnapshots:
    """The whole ones of a tenant, each where it lies nearest."""

    def __init__(self, snapshots: SnapshotStore) -> None:
        self._snapshots = snapshots

    async def newest(self, tenant_id: str) -> tuple[Repository, Kept] | None:
        """By the time that it was taken."""
        found = await self._all(tenant_id)
        return max(found, key=lambda each: each[1].at) if found else None

    async def named(self, tenant_id: str, prefix: str) -> tuple[Repository, Kept] | None:
        """By its own id, or by that of which it is a copy."""
        found = [
            each
            for each in await self._all(tenant_id)
            if each[1].id.startswith(prefix) or (each[1].original or "").startswith(prefix)
        ]
        return found[0] if len(found) == 1 else None

    async def _all(self, tenant_id: str) -> Sequence[tuple[Repository, Kept]]:
        """Without the copies of those that lie nearer."""
        found: dict[str, tuple[Repository, Kept]] = {}
        for target in self._snapshots.targets:
            repository = Repository(target=target, owner=tenant_id)
            for kept in await self._snapshots.listing(repository):
                # The manifest goes into a snapshot last: without it, it is but the first pass of one.
                if FOLDER in kept.folders:
                    found.setdefault(kept.original or kept.id, (repository, kept))
        return list(found.values())
