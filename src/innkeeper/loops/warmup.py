"""Takes back the processor time that a start was helped with, once the first answer is out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog

from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, StateChanged
from innkeeper.core.holds import Holds
from innkeeper.core.instance import Instance
from innkeeper.core.ports import Clock, Runtime
from innkeeper.core.tenant import Tenant
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.warmup")

LOOK_EVERY_S = 1.0
ON_THE_WAY = timedelta(seconds=2)
"""So long after somebody passed the gate an answer that is awaited has been seen on the connections."""
LONGEST = timedelta(seconds=60)
"""So long after it became ready the help ends, though nobody has asked it anything."""


class Warmup:
    """Watches those who have more than their spec gives them, from the instances as they are: nothing is remembered
    that a crash could lose."""

    def __init__(self, *, directory: Directory, runtime: Runtime, holds: Holds, bus: Bus, clock: Clock) -> None:
        self._directory = directory
        self._runtime = runtime
        self._holds = holds
        self._clock = clock
        self._ready_at: dict[str, datetime] = {}
        """Of those who have more than their spec gives them: since when they are ready; far off while they aren't."""
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("warmup", self._run)

    def boosted(self, tenant: Tenant) -> None:
        """It was given more; see to it that it is given back."""
        self._ready_at[tenant.name] = datetime.max.replace(tzinfo=UTC)

    def adopt(self, instances: Iterable[Instance]) -> None:
        """Of all that there are, those who were given more before we came."""
        for instance in instances:
            tenant = self._directory.tenant(instance.tenant)
            if tenant is None or instance.cpus is None or tenant.name in self._ready_at:
                continue
            if instance.cpus > tenant.spec.limits.cpus:
                self.boosted(tenant)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Give back what isn't needed any more."""
        now = self._clock.now()
        for name in list(self._ready_at):
            tenant = self._directory.tenant(name)
            if tenant is None:
                del self._ready_at[name]
            elif tenant.seen.ready and self._is_warm(tenant, now):
                await self._give_back(tenant)

    def _is_warm(self, tenant: Tenant, now: datetime) -> bool:
        """Its first answer is out, or nobody has asked for one."""
        ready_at = self._ready_at[tenant.name] = min(self._ready_at[tenant.name], now)
        if now - ready_at >= LONGEST:
            return True
        used_at = self._directory.last_activity(tenant)
        if used_at is None or used_at < ready_at or now - used_at < ON_THE_WAY:
            return False
        return self._holds.in_flight(tenant.name) is None

    async def _give_back(self, tenant: Tenant) -> None:
        try:
            instance = await self._runtime.get(tenant.name)
            if instance.cpus is not None and instance.cpus > tenant.spec.limits.cpus:
                await self._runtime.set_cpus(instance, tenant.spec.limits.cpus)
        except Problem as problem:
            log.warning("processor time not given back", tenant=tenant.name, problem=problem.message)
            return  # tried again in a second
        del self._ready_at[tenant.name]

    def _follow(self, event: Event) -> None:
        """From its first ready moment on, not from our next look: whoever was held for it is let in at once."""
        if isinstance(event, StateChanged) and event.now.seen.ready and event.now.name in self._ready_at:
            self._ready_at[event.now.name] = min(self._ready_at[event.now.name], self._clock.now())
