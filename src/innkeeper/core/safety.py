"""Before a restore in place: the present state is snapshotted, however it is; and what the store knows of snapshots, as
restores see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from innkeeper.core.backing_up import SNAPSHOT, BackingUp
from innkeeper.core.operations import Operation
from innkeeper.core.ports import Store, Transaction, Units
from innkeeper.core.shelf import Restorable
from innkeeper.core.snapshot_errors import SnapshotDamaged
from innkeeper.core.snapshots import Origin, Snapshot
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import Tell


class SafetySnapshots:
    """Takes them on behalf of restores, at the first target alone: the tenant is down meanwhile."""

    def __init__(self, *, backing_up: BackingUp, store: Store, units: Units) -> None:
        self._backing_up = backing_up
        self._store = store
        self._units = units

    async def take(self, tenant: Tenant, operation: Operation, tell: Tell) -> str | None:
        """Its id; None where the tenant has no folder. One whose databases aren't whole is kept all the same: that may
        be what the restore is for."""
        if not await self._units.exists(tenant.name):
            return None
        try:
            done = await self._backing_up.one(operation, tell, origin=Origin.SAFETY, kept_for=operation.id)
        except SnapshotDamaged:
            taken = str(tell.operation.detail.get(SNAPSHOT))
            async with self._store.look() as tx:
                if (kept := await tx.snapshots.get(taken)) is None or not kept.copies:
                    raise
            return kept.id
        return done.snapshot.id

    async def ahead(self, tenant: Tenant, operation: Operation, tell: Tell) -> None:
        """One of the tenant while it lives. Where it writes nothing more until it is down, that is the one; else its
        last writes are all that is left to be saved. What is wrong with it is told by `take`, which doesn't need it."""
        if await self._units.exists(tenant.name):
            await self._backing_up.one(operation, tell, origin=Origin.SAFETY, kept_for=operation.id, ahead=True)


class RecordedSnapshots:
    """What the store knows of a tenant's snapshots."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, tenant_id: str) -> Sequence[Restorable]:
        """All of them, oldest first."""
        async with self._store.look() as tx:
            found = await tx.snapshots.of(tenant_id)
        return [_restorable(each) for each in sorted(found, key=lambda each: (each.taken_at, each.id)) if each.copies]


async def keep_for(tx: Transaction, one: Restorable, operation: Operation) -> None:
    """Have a snapshot kept until the operation has ended, whatever is due to be dropped."""
    if (snapshot := await tx.snapshots.get(one.id)) is not None:
        await tx.snapshots.put(replace(snapshot, kept_for=operation.id))


def _restorable(snapshot: Snapshot) -> Restorable:
    return Restorable(
        id=snapshot.id,
        tenant=snapshot.tenant,
        tenant_id=snapshot.owner,
        taken_at=snapshot.taken_at,
        copies={**snapshot.whole_at, **snapshot.copies},  # what is whole first
        bytes=snapshot.bytes or None,
        is_good=snapshot.is_good,
        damaged=snapshot.wrong,
        broken=dict(snapshot.broken),
    )
