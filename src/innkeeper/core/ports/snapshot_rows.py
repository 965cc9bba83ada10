"""What the core needs of a store for snapshots."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from innkeeper.core.snapshots import BackupState, Snapshot


class SnapshotRows(Protocol):
    """The snapshots of all owners, within a transaction. They outlive their tenant, unless it is purged."""

    async def put(self, snapshot: Snapshot) -> None:
        """Write it down, in place of what was known of it."""
        ...

    async def get(self, snapshot_id: str) -> Snapshot | None: ...

    async def of(self, owner: str) -> Sequence[Snapshot]:
        """An owner's, the newest first."""
        ...

    async def of_tenant(self, tenant: str) -> Sequence[Snapshot]:
        """Those of all that went by that name, the newest first."""
        ...

    async def drop(self, snapshot_ids: Collection[str]) -> None: ...

    async def state(self, owner: str) -> BackupState | None: ...

    async def put_state(self, state: BackupState) -> None: ...

    async def states(self, *, after: str = "", limit: int | None = None) -> Mapping[str, BackupState]:
        """By owner, those after `after`; None: all of them."""
        ...

    async def drop_owner(self, owner: str) -> None:
        """Forget all that is known of an owner's snapshots."""
        ...
