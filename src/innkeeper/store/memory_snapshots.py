"""The core's `SnapshotRows` on plain dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from innkeeper.core.snapshots import BackupState, Snapshot
from innkeeper.store.memory_tables import Tables


class MemorySnapshots:
    """Snapshots, within one transaction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def put(self, snapshot: Snapshot) -> None:
        self._tables.snapshots[snapshot.id] = snapshot

    async def get(self, snapshot_id: str) -> Snapshot | None:
        return self._tables.snapshots.get(snapshot_id)

    async def of(self, owner: str) -> Sequence[Snapshot]:
        return self._found(lambda each: each.owner == owner)

    async def of_tenant(self, tenant: str) -> Sequence[Snapshot]:
        return self._found(lambda each: each.tenant == tenant)

    async def drop(self, snapshot_ids: Collection[str]) -> None:
        for each in snapshot_ids:
            self._tables.snapshots.pop(each, None)

    async def state(self, owner: str) -> BackupState | None:
        return self._tables.backup_states.get(owner)

    async def put_state(self, state: BackupState) -> None:
        self._tables.backup_states[state.owner] = state

    async def states(self, *, after: str = "", limit: int | None = None) -> Mapping[str, BackupState]:
        owners = [owner for owner in sorted(self._tables.backup_states) if owner > after]
        return {owner: self._tables.backup_states[owner] for owner in owners[:limit]}

    async def drop_owner(self, owner: str) -> None:
        await self.drop([each.id for each in await self.of(owner)])
        self._tables.backup_states.pop(owner, None)

    def _found(self, sought: Callable[[Snapshot], bool]) -> list[Snapshot]:
        found = [each for each in self._tables.snapshots.values() if sought(each)]
        return sorted(found, key=lambda each: (each.taken_at, each.id), reverse=True)
