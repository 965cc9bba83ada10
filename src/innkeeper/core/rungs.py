"""Moves tenants on the ladder for reasons of our own: they are idle, needed, in use after all, or have no room.

Unlike an order it has no actor and no operation; and it concerns only those who are wanted `auto`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from innkeeper.core.events import Bus, TenantChanged
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Store, Transaction
from innkeeper.core.tenant import Tenant, Wanted


class Rungs:
    """Writes down on which rung a tenant should be; the reconciler does the rest."""

    def __init__(self, *, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    async def rouse(self, name: str) -> bool:
        """Up to running, for somebody needs it; whether it slept, and may be woken."""

        async def up(tx: Transaction, tenant: Tenant) -> Rung | None:
            return Rung.RUNNING if tenant.rung is not Rung.RUNNING else None

        return await self._move(name, up)

    async def rest(self, name: str, rung: Rung) -> bool:
        """Down to that rung, for it is idle; whether it was further up."""

        async def down(tx: Transaction, tenant: Tenant) -> Rung | None:
            return rung if rung.depth > tenant.rung.depth else None

        return await self._move(name, down)

    async def keep_up(self, name: str) -> bool:
        """Not down after all, for it is in use; whether it was idleness that had sent it there, and not an order."""

        async def up(tx: Transaction, tenant: Tenant) -> Rung | None:
            ordered = await tx.operations(tenant=name, open_only=True)
            return None if ordered or tenant.rung is Rung.RUNNING else Rung.RUNNING

        return await self._move(name, up)

    async def let_lie(self, name: str) -> bool:
        """Back to where it sleeps, for there is no room for it; whether it hadn't come up yet."""

        async def back(tx: Transaction, tenant: Tenant) -> Rung | None:
            if tenant.rung is not Rung.RUNNING or tenant.seen.state in (State.RUNNING, State.STARTING):
                return None
            return Rung.PAUSED if tenant.seen.state is State.PAUSED else Rung.STOPPED

        return await self._move(name, back)

    async def _move(self, name: str, where: Callable[[Transaction, Tenant], Awaitable[Rung | None]]) -> bool:
        async with self._store.begin() as tx:
            tenant = await tx.tenant(name)
            if tenant is None or tenant.wanted is not Wanted.AUTO:
                return False
            rung = await where(tx, tenant)
            if rung is None:
                return False
            moved = replace(tenant, rung=rung)
            await tx.change_tenant(moved, from_revision=tenant.revision)
        self._bus.publish(TenantChanged(tenant=name, now=moved))
        return True
