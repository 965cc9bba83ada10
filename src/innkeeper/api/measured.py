"""What tenants use: measured when one is looked at, remembered for lists, which never wait for a kernel."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from innkeeper.core.errors import Problem
from innkeeper.core.instance import Instance, State, Usage
from innkeeper.core.ports import Runtime
from innkeeper.core.tenant import Tenant

PATIENCE_S = 1.0
REMEMBERED = 20_000
_LIVE = frozenset({State.STARTING, State.RUNNING, State.PAUSED})


class Measured:
    """The last measurement of each tenant."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Usage] = OrderedDict()

    def last(self, tenant: Tenant) -> Usage | None:
        """What was measured last, as long as it can still be true."""
        return self._known.get(tenant.id) if tenant.seen.state in _LIVE else None

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

    def _remember(self, tenant_id: str, usage: Usage) -> None:
        self._known[tenant_id] = usage
        self._known.move_to_end(tenant_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
