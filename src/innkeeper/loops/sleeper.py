"""Puts idle tenants to sleep; wakes sleepers for bytes on a socket that is still open, and for work of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from innkeeper.core.control import Control
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, TenantChanged, TenantGone
from innkeeper.core.holds import Holds
from innkeeper.core.idle import Rest, due
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Clock, Movements, Runtime
from innkeeper.core.tenant import Tenant
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.sleeper")

WATCH_EVERY_S = 1.0
"""How soon bytes for a sleeper are noticed."""
LEADS: Mapping[State, timedelta] = {State.PAUSED: timedelta(seconds=1), State.STOPPED: timedelta(seconds=20)}
"""How long before its own next run a sleeper is woken: a thaw takes milliseconds, OpenClaw's boot up to 11 s."""
BUSY_SHARE = 0.1
"""Of one core: an agent that computes more than that is at work. OpenClaw at rest takes 0.004 to 0.005."""


class Sleeper:
    """Judges idleness: by requests, bytes on open connections, model calls in flight and processor time.

    The last word is the agent's own: the reconciler asks for its consent before the freeze.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        control: Control,
        runtime: Runtime,
        movements: Movements,
        at_address: Callable[[str], str | None],
        calling: Callable[[], Collection[str]],
        listens_to: Callable[[Tenant], Awaitable[Sequence[str]]],
        holds: Holds,
        bus: Bus,
        clock: Clock,
        sweep_s: float,
    ) -> None:
        self._directory = directory
        self._control = control
        self._runtime = runtime
        self._movements = movements
        self._at_address = at_address
        self._calling = calling
        self._listens_to = listens_to
        self._holds = holds
        self._clock = clock
        self._sweep_s = sweep_s
        self._resting = {tenant.name for tenant in directory if tenant.rung is not Rung.RUNNING}
        self._put_down: dict[str, datetime] = {}
        self._used: dict[str, tuple[float, datetime]] = {}
        self._paged: set[str] = set()
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("sleeper", self._run)
        supervisor.add("pager", self._page_forever)

    def _follow(self, event: Event) -> None:
        """Whoever is woken, by whomever, gets a whole window."""
        if isinstance(event, TenantChanged) and event.now.rung is Rung.RUNNING and event.tenant in self._resting:
            self._directory.touch(event.tenant, self._clock.now())
        if isinstance(event, TenantChanged | TenantGone):
            resting = isinstance(event, TenantChanged) and event.now.rung is not Rung.RUNNING
            (self._resting.add if resting else self._resting.discard)(event.tenant)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        next_sweep = clock() + self._sweep_s
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self.look()
                if clock() >= next_sweep:
                    next_sweep = clock() + self._sweep_s
                    await self.sweep()
            except Problem as problem:
                # Who can't be judged doesn't sleep; and a kernel that won't tell isn't asked each second.
                log.warning("sleeping failed", code=problem.code, problem=problem.message)
                await asyncio.sleep(self._sweep_s)

    async def look(self) -> None:
        """Note who is in use, and wake the sleepers among them."""
        moves = await self._movements.look()
        now = self._clock.now()
        # Only those of whom there is something to tell, each second: there may be ten thousand others.
        in_use = {self._at_address(address) for address in moves.in_use} - self._resting
        knocked_at = {self._at_address(address) for address in moves.knocked_at} & self._resting
        for name in in_use | knocked_at | set(self._calling()):
            if name is not None and self._directory.tenant(name) is not None:
                self._directory.touch(name, now)
        for name in tuple(self._resting):
            resting = self._directory.tenant(name)
            if resting is not None and is_time(resting, now):
                await self._control.rouse(name)
        for name, since in list(self._put_down.items()):
            resting = self._directory.tenant(name)
            if resting is None or resting.rung is Rung.RUNNING:
                del self._put_down[name]
            elif (last := self._directory.last_activity(resting)) is not None and last > since:
                del self._put_down[name]
                await self._control.rouse(name)

    async def sweep(self) -> list[Rest]:
        """Put down whoever has been idle for long enough; who that was. One that makes trouble holds up no other."""
        put_down = []
        for rest in due(self._directory, self._directory.last_activity, self._clock.now()):
            try:
                if await self._put_to_rest(rest):
                    put_down.append(rest)
            except Problem as problem:
                log.warning("not put to sleep", tenant=rest.tenant.name, code=problem.code, problem=problem.message)
        return put_down

    async def _put_to_rest(self, rest: Rest) -> bool:
        tenant = rest.tenant
        if tenant.rung is Rung.RUNNING and (await self._listens(tenant) or await self._computes(tenant)):
            return False
        self._put_down[tenant.name] = self._clock.now()
        if not await self._control.rest(tenant.name, rest.rung):
            return False
        log.info("idle", tenant=tenant.name, rung=str(rest.rung), quiet_since=rest.quiet_since.isoformat())
        return True

    async def page_out(self) -> None:
        """Push the memory of those who have slept for long enough to swap, one after the other, once each sleep."""
        sleepers = [
            tenant for tenant in self._directory if tenant.rung is Rung.PAGED and tenant.seen.state is State.PAUSED
        ]
        self._paged &= {tenant.name for tenant in sleepers}
        for tenant in sleepers:
            if tenant.name in self._paged:
                continue
            self._paged.add(tenant.name)
            try:
                paged = await self._runtime.page_out(await self._runtime.get(tenant.name))
                why_not = paged.skipped
            except Problem as problem:
                why_not = problem.message
            log.info("paged out", tenant=tenant.name, skipped=why_not)

    async def _page_forever(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_s)
            await self.page_out()

    async def _listens(self, tenant: Tenant) -> bool:
        """Whether messages would be lost on it."""
        channels = await self._listens_to(tenant)
        if channels:
            why = f"it fetches messages itself: {', '.join(channels)[:200]}"
            self._holds.hold(tenant.name, "channel", why, self._clock.now())
        else:
            self._holds.let_go(tenant.name, "channel")
        return bool(channels)

    async def _computes(self, tenant: Tenant) -> bool:
        """Whether it uses the processor though nobody asked it for anything; the first look alone can't tell."""
        usage = await self._runtime.usage(await self._runtime.get(tenant.name))
        now = self._clock.now()
        before = self._used.get(tenant.name)
        self._used[tenant.name] = usage.cpu_s, now
        if before is None or usage.cpu_s < before[0]:
            return True
        elapsed_s = (now - before[1]).total_seconds()
        if elapsed_s > 3 * self._sweep_s:
            return True  # too long ago to say anything of now
        share = (usage.cpu_s - before[0]) / max(elapsed_s, 0.001)
        if share > BUSY_SHARE:
            self._holds.hold(tenant.name, "processor", f"it uses {share:.0%} of a core", now)
            return True
        self._holds.let_go(tenant.name, "processor")
        del self._used[tenant.name]
        return False


def is_time(tenant: Tenant, now: datetime) -> bool:
    """Whether a sleeper has to be up soon for work of its own."""
    lead = LEADS.get(tenant.seen.state)
    return lead is not None and tenant.seen.next_wake is not None and now >= tenant.seen.next_wake - lead
