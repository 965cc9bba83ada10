"""Puts idle tenants down the ladder, rung by rung. The last word is the agent's own, asked before it is frozen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime

import structlog

from innkeeper.core import schedule
from innkeeper.core.chronicle import Chronicle
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.holds import JUDGED, Holds
from innkeeper.core.idle import Rest, due
from innkeeper.core.ladder import Offer, Rung, rung_after
from innkeeper.core.ports import Clock, Runtime
from innkeeper.core.rungs import Rungs
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.sweeper")

BUSY_SHARE = 0.1
"""Of one core: an agent that computes more than that is at work. OpenClaw at rest takes 0.004 to 0.005."""
GLANCE_S = 0.5
"""So long one that runs is looked at before it gives way to another, to see whether it computes."""
PROBE_EVERY_S = 60.0
"""How often it is asked what this host can offer: swap may be added, or fill up."""
MEASURED_AT_ONCE = 50
"""So many of those who are up are measured in each sweep, in turn: a look at one takes a millisecond."""


class Sweeper:
    """Judges idleness: by requests, bytes on open connections, model calls in flight and processor time."""

    def __init__(
        self,
        *,
        directory: Directory,
        rungs: Rungs,
        runtime: Runtime,
        listens_to: Callable[[Tenant], Awaitable[Sequence[str]]],
        chronicle: Chronicle,
        holds: Holds,
        offer: Offer,
        clock: Clock,
        sweep_s: float,
    ) -> None:
        self._directory = directory
        self._rungs = rungs
        self._runtime = runtime
        self._listens_to = listens_to
        self._chronicle = chronicle
        self._holds = holds
        self._offer = offer
        self._clock = clock
        self._sweep_s = sweep_s
        self._watched_since = self._swept_at = clock.now()
        self._used: dict[str, tuple[float, datetime]] = {}
        self._busy_at: dict[str, datetime] = {}
        """When it was last found to have computed since the look before."""
        self._measured_up_to = ""

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("sweeper", self._run)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        probe_at = clock()
        while True:
            try:
                if clock() >= probe_at:
                    await self.probe()
                    probe_at = clock() + PROBE_EVERY_S
                await self.sweep()
                await self.measure()
            except Problem as problem:
                log.warning("sweep failed", code=problem.code, problem=problem.message)
            await asyncio.sleep(self._sweep_s)

    async def probe(self) -> None:
        """Find out what this host can offer of the ladder."""
        missing = await self._runtime.lacks()
        if missing != self._offer.missing:
            log.info("rungs", missing={str(rung): why for rung, why in missing.items()})
        self._offer.missing = missing

    async def sweep(self) -> list[Rest]:
        """Put down whoever has been idle for long enough; who that was. One that makes trouble holds up no other."""
        now = self._clock.now()
        if now < self._swept_at:
            self._watched_since = now  # the clock was set back: what was noted before can't be compared with it
        self._swept_at = now
        found = due(
            self._directory,
            self._directory.last_activity,
            now,
            missing=self._offer.missing,
            watched_since=self._watched_since,
        )
        self._keep_holds({rest.tenant.name for rest in found}, now)
        put_down = []
        for rest in found:
            try:
                if await self._put_to_rest(rest):
                    put_down.append(rest)
            except Problem as problem:
                log.warning("not put to sleep", tenant=rest.tenant.name, code=problem.code, problem=problem.message)
        return put_down

    async def measure(self) -> None:
        """Look at some of those who are up, so that it is known what they need."""
        up = sorted(tenant.name for tenant in self._directory if tenant.seen.ready and tenant.rung is Rung.RUNNING)
        turn = [name for name in up if name > self._measured_up_to][:MEASURED_AT_ONCE]
        self._measured_up_to = turn[-1] if len(turn) == MEASURED_AT_ONCE else ""
        for name in turn:
            tenant = self._directory.tenant(name)
            if tenant is not None:
                with suppress(Problem):  # it is going just now
                    await self._share_of_a_core(tenant)
        for known in (self._used, self._busy_at):
            for name in known.keys() - set(up):
                known.pop(name, None)

    async def _put_to_rest(self, rest: Rest) -> bool:
        tenant = rest.tenant
        if tenant.rung is Rung.RUNNING and (await self._listens(tenant) or await self._computes(tenant)):
            return False
        if not await self._rungs.rest(tenant.name, rest.rung):
            return False
        last = self._directory.last_activity(tenant)
        if last is not None and last > rest.quiet_since:  # somebody came while we judged
            await self._rungs.rouse(tenant.name)
            return False
        log.info("idle", tenant=tenant.name, rung=str(rest.rung), quiet_since=rest.quiet_since.isoformat())
        return True

    async def _listens(self, tenant: Tenant) -> bool:
        """Whether messages would be lost on it, and its operator doesn't accept that."""
        channels = () if tenant.spec.sleep.despite_channels else await self._listens_to(tenant)
        if channels:
            why = f"it fetches messages itself: {', '.join(channels)[:200]}"
            self._holds.hold(tenant.name, "channel", why, self._clock.now())
        else:
            self._holds.let_go(tenant.name, "channel")
        return bool(channels)

    async def may_give_way(self, tenant: Tenant) -> bool:
        """Whether one that runs may be put down before its time, for another who needs the room."""
        if await self._listens(tenant):
            return False
        await self._share_of_a_core(tenant)
        await asyncio.sleep(GLANCE_S)
        share = await self._share_of_a_core(tenant)
        return share is not None and not self._objects(tenant, share)

    async def _computes(self, tenant: Tenant) -> bool:
        """Whether it uses the processor though nobody asked it for anything; the first look alone can't tell."""
        share = await self._share_of_a_core(tenant)
        if share is None or self._objects(tenant, share):
            return True
        now, busy_at = self._clock.now(), self._busy_at.get(tenant.name)
        if busy_at is None or rung_after(tenant.spec.sleep, (now - busy_at).total_seconds()) is not Rung.RUNNING:
            return False
        self._holds.hold(tenant.name, "processor", f"it computed until {busy_at:%H:%M:%S} UTC", now)
        return True

    def _objects(self, tenant: Tenant, share: float) -> bool:
        if share > BUSY_SHARE:
            self._holds.hold(tenant.name, "processor", f"it uses {share:.0%} of a core", self._clock.now())
        else:
            self._holds.let_go(tenant.name, "processor")
        return share > BUSY_SHARE

    async def _share_of_a_core(self, tenant: Tenant) -> float | None:
        """On average since it was last looked at; None where that can't be told, or is too long ago."""
        usage = await self._runtime.usage(await self._runtime.get(tenant.name))
        self._chronicle.note_usage(tenant, usage)
        now, before = self._clock.now(), self._used.get(tenant.name)
        self._used[tenant.name] = usage.cpu_s, now
        if before is None or usage.cpu_s < before[0]:
            return None
        elapsed_s = (now - before[1]).total_seconds()
        share = (usage.cpu_s - before[0]) / max(elapsed_s, 0.001)
        if share > BUSY_SHARE:
            self._busy_at[tenant.name] = now
        return share if elapsed_s <= 3 * self._sweep_s else None

    def _keep_holds(self, due_now: set[str], now: datetime) -> None:
        """Objections stand for as long as somebody would sleep otherwise; schedules while their windows are open."""
        for name in self._holds.names():
            tenant = self._directory.tenant(name)
            if tenant is None:
                self._holds.let_go(name)
            elif name not in due_now and tenant.rung is Rung.RUNNING:
                self._holds.let_go(name, *JUDGED)
        for tenant in self._directory:
            if not tenant.spec.sleep.schedule or tenant.wanted is not Wanted.AUTO:
                self._holds.let_go(tenant.name, "schedule")
                continue
            window = schedule.awake_until(tenant.spec.sleep.schedule, now)
            if window is None:
                self._holds.let_go(tenant.name, "schedule")
            else:
                why = f"`{window[0]}` until {window[1]:%Y-%m-%d %H:%M} UTC"
                self._holds.hold(tenant.name, "schedule", why, now)
