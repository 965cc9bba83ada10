"""What tenants use: measured when one is looked at, remembered for lists, which never wait for a kernel."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from innkeeper.core.errors import Problem
from innkeeper.core.instance import Instance, State, Usage
from innkeeper.core.ports import HostMemory, MemoryNow, Runtime
from innkeeper.core.tenant import Tenant

PATIENCE_S = 1.0
AT_ONCE, ALL_WITHIN_S = 8, 2.0
REMEMBERED = 20_000
_LIVE = frozenset({State.STARTING, State.RUNNING, State.PAUSED})


class Measured:
    """The last measurement of each tenant."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Usage] = OrderedDict()

    def last(self, tenant: Tenant) -> Usage | None:
        """What was measured last, as long as it can still be true."""
        return self._known.get(tenant.id) if tenant.seen.state in _LIVE else None

    async def host(self, memory: HostMemory) -> MemoryNow | None:
        """The host's memory; None where the kernel doesn't tell it."""
        try:
            return await memory.now()
        except Problem:
            return None

    async def now(self, tenant: Tenant, runtime: Runtime) -> tuple[Instance | None, Usage | None]:
        """The instance and what it uses; None for what can't be told quickly."""
        instance = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                instance = await runtime.get(tenant.name)
                if instance.state not in _LIVE:
                    return instance, None
                usage = await runtime.usage(instance)
        except (Problem, TimeoutError):
            return instance, None
        self._remember(tenant.id, usage)
        return instance, usage

    async def all(self, tenants: Iterable[Tenant], runtime: Runtime) -> list[Usage]:
        """What those use who run or are frozen, a few looked at side by side, as far as there is time."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def measure(tenant: Tenant) -> None:
            async with turns:
                await self.now(tenant, runtime)

        live = [tenant for tenant in tenants if tenant.seen.state in _LIVE]
        looks = [asyncio.create_task(measure(tenant), name=f"measure:{tenant.name}") for tenant in live]
        if looks:
            await asyncio.wait(looks, timeout=ALL_WITHIN_S)
        for look in looks:
            look.cancel()
        return [usage for tenant in live if (usage := self.last(tenant)) is not None]

    def _remember(self, tenant_id: str, usage: Usage) -> None:
        self._known[tenant_id] = usage
        self._known.move_to_end(tenant_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
