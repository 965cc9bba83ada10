"""Having a tenant's folder to oneself: it is brought down, and nothing of it starts until that is over."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from innkeeper.core.errors import Conflict, Problem, TenantNotReady, UnknownTenant
from innkeeper.core.events import Bus, TenantChanged
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Runtime, Store, Transaction
from innkeeper.core.tenant import Tenant, Wanted

LOOK_EVERY_S = (0.02, 0.25)
"""At first and at the longest: each wait is twice as long as the one before."""


class Closing:
    """Closes and reopens tenants on behalf of works."""

    def __init__(self, *, store: Store, runtime: Runtime, bus: Bus) -> None:
        self._store = store
        self._runtime = runtime
        self._bus = bus

    async def close(self, name: str, operation_id: str) -> Tenant:
        """Have it brought down for the operation; repeatable. Conflict where another operation has it, unless that has
        ended and left it closed."""
        async with self._store.begin() as tx:
            tenant = await tx.tenant(name)
            if tenant is None or tenant.wanted is Wanted.GONE:
                raise UnknownTenant(f"{name} is gone, or about to be.")
            if tenant.closed not in (None, operation_id) and await _is_open(tx, tenant.closed):
                raise Conflict(f"{name}'s folder is being worked on by {tenant.closed}.", hint="Wait for its end.")
            closed = replace(tenant, closed=operation_id)
            if closed != tenant:
                await tx.change_tenant(closed, from_revision=tenant.revision)
        self._bus.publish(TenantChanged(tenant=name, now=closed))
        return closed

    async def until_down(self, tenant: Tenant, *, timeout_s: float) -> None:
        """Wait until the runtime says that no instance is there; TenantNotReady when it takes too long."""
        why, nap_s = "it is still there", LOOK_EVERY_S[0]
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        if not (await self._runtime.get(tenant.name)).exists:
                            return
                    except Problem as problem:
                        why = problem.message
                    await asyncio.sleep(nap_s)
                    nap_s = min(LOOK_EVERY_S[1], 2 * nap_s)
        except TimeoutError:
            raise TenantNotReady(f"{tenant.name} isn't down after {timeout_s:.0f} s: {why}.") from None

    async def reopen(
        self, name: str, operation_id: str, *, new_tokens: bool = False, fenced: bool | None = None
    ) -> Tenant | None:
        """Let it start again, as a new instance and, with `new_tokens`, with credentials of its own that nobody knows;
        repeatable. None where it is gone, or isn't closed by this operation."""
        async with self._store.begin() as tx:
            tenant = await tx.tenant(name)
            if tenant is None or tenant.closed != operation_id:
                return None
            revision = tenant.revision + 1
            opened = replace(
                tenant,
                closed=None,
                revision=revision,
                remade_at=revision,
                token_epoch=tenant.token_epoch + new_tokens,
                fenced=tenant.fenced if fenced is None else fenced,
                rung=Rung.RUNNING,
            )
            await tx.change_tenant(opened, from_revision=tenant.revision)
        self._bus.publish(TenantChanged(tenant=name, now=opened))
        return opened


async def _is_open(tx: Transaction, operation_id: str) -> bool:
    operation = await tx.operation(operation_id)
    return operation is not None and not operation.status.ended
