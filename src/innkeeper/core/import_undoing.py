"""Taking back an import of which the folder is lost: there is no such tenant, as before, and its name is free again."""

from __future__ import annotations

from innkeeper.core.access import SYSTEM
from innkeeper.core.audit import entry
from innkeeper.core.events import Bus, OperationChanged, TenantGone
from innkeeper.core.import_errors import StagedLost
from innkeeper.core.operations import Operation, Trouble, work_ended
from innkeeper.core.ports import Clock, DataKeys, Store


class Undoing:
    """Undoes what an import has written down; the tenant has never been started."""

    def __init__(self, *, store: Store, keys: DataKeys, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._bus = bus
        self._clock = clock

    async def undo(self, operation: Operation, why: StagedLost) -> None:
        """Drop its row and secrets, end its start as failed, and destroy its key; repeatable."""
        name, tenant_id, now = operation.tenant, operation.tenant_id, self._clock.now()
        ended: Operation | None = None
        async with self._store.begin() as tx:
            tenant = await tx.tenant(name)
            its = tenant is not None and (tenant.id, tenant.closed) == (tenant_id, operation.id)
            if tenant is not None and its:
                await tx.drop_tenant(name, tenant_id)
                detail = {"operation": operation.id}
                await tx.audit(entry(SYSTEM, "tenant.import_undone", at=now, of=tenant, detail=detail))
            start = await tx.operation(operation.detail["outcome"]["provision"])
            if start is not None and not start.status.ended:
                ended = work_ended(start, now, Trouble.of(why))
                await tx.put_operation(ended)
        await self._keys.destroy(tenant_id)
        if ended is not None:
            self._bus.publish(OperationChanged(tenant=name, operation=ended))
        if its:
            self._bus.publish(TenantGone(tenant=name, tenant_id=tenant_id))
