"""Waiting for the proof that a tenant works: its instance, made since it was opened, has become ready."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from innkeeper.core.errors import Problem, RuntimeUnavailable, Superseded, TenantFailed, TenantNotReady
from innkeeper.core.instance import State
from innkeeper.core.ports import Agent, Runtime, Store
from innkeeper.core.tenant import Tenant, Wanted

LOOK_EVERY_S = (0.02, 0.25)
"""At first and at the longest: each wait is twice as long as the one before."""
MARGIN_S = 120.0
"""Beside the agent's own start: for its turn, for room, and for a busy machine."""


class Proving:
    """Waits for tenants to be ready."""

    def __init__(
        self, *, store: Store, runtime: Runtime, agents: Mapping[str, Agent], margin_s: float = MARGIN_S
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._agents = agents
        self._margin_s = margin_s

    async def until_ready(self, opened: Tenant) -> None:
        """Return when it is ready, or was and sleeps since. Raises TenantFailed when it can't run, TenantNotReady when
        it isn't in time, Superseded when it is being deleted."""
        agent = self._agents.get(opened.spec.agent)
        nap_s = LOOK_EVERY_S[0]
        within_s = (agent.start_timeout_s if agent else 0) + self._margin_s
        try:
            async with asyncio.timeout(within_s):
                while True:
                    if await self._is_ready(opened):
                        return
                    await asyncio.sleep(nap_s)
                    nap_s = min(LOOK_EVERY_S[1], 2 * nap_s)
        except TimeoutError:
            why = await self._why(opened)
            raise TenantNotReady(f"{opened.name} isn't ready after {within_s:.0f} s: {why}", hint="") from None

    async def _is_ready(self, opened: Tenant) -> bool:
        tenant = await self._tenant(opened)
        seen = tenant.seen
        if seen.state is State.FAILED:
            raise TenantFailed(seen.error or f"{tenant.name} can't run.", hint="")
        if not seen.ready or seen.state not in (State.RUNNING, State.PAUSED):
            return False
        try:
            instance = await self._runtime.get(tenant.name)
        except RuntimeUnavailable:
            return False
        return (
            instance.tenant_id == tenant.id
            and instance.revision >= opened.remade_at
            and instance.id == seen.instance_id
        )

    async def _why(self, opened: Tenant) -> str:
        try:
            seen = (await self._tenant(opened)).seen
        except Problem as problem:
            return problem.message
        return seen.error or f"it is {seen.state}."

    async def _tenant(self, opened: Tenant) -> Tenant:
        async with self._store.look() as tx:
            tenant = await tx.tenant(opened.name)
        if tenant is None or tenant.id != opened.id or tenant.wanted is Wanted.GONE:
            raise Superseded(f"{opened.name} is being deleted.")
        return tenant
