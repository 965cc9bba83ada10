"""Looks at the wire each second: who is in use, at whom somebody knocks, and who has work of its own to do soon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

import structlog

from innkeeper.core import schedule
from innkeeper.core.chronicle import Chronicle
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, StateChanged, TenantChanged, TenantGone
from innkeeper.core.holds import Holds
from innkeeper.core.instance import State
from innkeeper.core.ladder import MissedRuns, Rung
from innkeeper.core.plan import MISSED_AFTER
from innkeeper.core.ports import Clock, Movements
from innkeeper.core.rungs import Rungs
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.loops.supervise import Supervisor, every

log = structlog.get_logger("innkeeper.watcher")

WATCH_EVERY_S = 1.0
"""How soon bytes for a sleeper are noticed."""
LINGER_S = 1.0
"""So long after its last byte a connection counts as one on which bytes move: streams pause between two words."""
ON_THE_WAY_S = 0.5
"""So long after it passed the gate a request has surely reached its tenant: Caddy takes a millisecond, a busy host's
some hundred."""
REMEMBERED_S = 10.0
"""So long after a tenant went to sleep a request may turn out to have slipped through before."""
LEADS_S: Mapping[State, float] = {State.PAUSED: 2.0, State.STOPPED: 20.0, State.ABSENT: 20.0}
"""How long before its time a sleeper is woken whose kind was never measured; OpenClaw's boot takes up to 11 s."""
TRIED_AGAIN, TRIED_AGAIN_AT_MOST = timedelta(seconds=15), timedelta(minutes=10)
"""When one that was woken for its own sake and didn't come up is tried again: later each time."""
REFRESH_EVERY_S = 60.0


class Watcher:
    """Keeps tenants awake that are in use, and wakes those that are needed."""

    def __init__(
        self,
        *,
        directory: Directory,
        rungs: Rungs,
        movements: Movements,
        at_address: Callable[[str], str | None],
        calling: Callable[[], Collection[str]],
        chronicle: Chronicle,
        holds: Holds,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._rungs = rungs
        self._movements = movements
        self._at_address = at_address
        self._calling = calling
        self._chronicle = chronicle
        self._holds = holds
        self._clock = clock
        self._resting: set[str] = set()
        self._asleep: set[str] = set()
        """Of those who are to rest, those who have come to it."""
        self._gone_to_rest: dict[str, datetime] = {}
        """Those who have just gone to sleep, and when they had been used last by then."""
        self._moved_at: dict[str, datetime] = {}
        self._wake_at: dict[str, datetime] = {}
        self._knocks: set[str] = set()
        """Sleepers at whom somebody has knocked."""
        self._tried: dict[str, tuple[int, datetime]] = {}
        """Who was woken for its own sake and hasn't come up: how often, and when last."""
        self._looked = False
        for tenant in directory:
            self._note(tenant)
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loops to the supervisor."""
        supervisor.add("watcher", self._run)
        supervisor.add("wake-times", lambda: every(REFRESH_EVERY_S, self._refresh))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                await self.look()
                await self.wake_for_their_own_sake()
            except Problem as problem:
                # Who can't be judged doesn't sleep; and a kernel that won't tell isn't asked each second.
                log.warning("watching failed", code=problem.code, problem=problem.message)
                await asyncio.sleep(15 * WATCH_EVERY_S)

    async def look(self) -> None:
        """Note who is in use, and wake the sleepers among them."""
        moves = await self._movements.look()
        now = self._clock.now()
        # Only those of whom there is something to tell, each second: there may be ten thousand others.
        in_use = self._names({*moves.in_use, *moves.awaited}) - self._asleep
        # An answer that is awaited when we begin to look was asked for before we came, and nobody has told us.
        knocked_at = {*moves.knocked_at, *(() if self._looked else moves.awaited)}
        self._looked = True
        calling = {name for name in self._calling() if self._directory.tenant(name) is not None}
        knocking = (self._names(knocked_at) | calling) & self._asleep
        # Whoever is on its way down by order isn't kept up by being in use: it goes when that is over.
        for name in ((in_use | calling) - self._resting) | knocking:
            self._directory.touch(name, now)
        self._keep_holds(in_use, calling, now)
        self._knocks |= knocking  # what moved is told once: whom we fail to wake now is woken at the next look
        for name, used_before in list(self._gone_to_rest.items()):
            await self._look_after(name, used_before, now)
        for name in list(self._knocks):
            if name in self._asleep:
                await self._rungs.rouse(name)
            self._knocks.discard(name)

    async def look_at(self, tenant: Tenant) -> None:
        """Note whether this one is in use, by whoever passed the gate just now too: a moment later that shows."""
        last = self._directory.last_activity(tenant)
        since_s = (self._clock.now() - last).total_seconds() if last else ON_THE_WAY_S
        if 0 <= since_s < ON_THE_WAY_S:
            await asyncio.sleep(ON_THE_WAY_S - since_s)
        await self.look()

    async def wake_for_their_own_sake(self) -> None:
        """Wake the sleepers who have to be up soon: for a run of the agent's own, or because their schedule says so."""
        now = self._clock.now()
        for name in [name for name, at in self._wake_at.items() if now >= at]:
            del self._wake_at[name]
            self._tried[name] = self._tried.get(name, (0, now))[0] + 1, now
            await self._rungs.rouse(name)

    def wakes_at(self, tenant: Tenant, now: datetime) -> datetime | None:
        """When a sleeper is to be woken, without a request: early enough to be up in time."""
        if tenant.wanted is not Wanted.AUTO or tenant.seen.state not in LEADS_S:
            return None
        policy, run = tenant.spec.sleep, tenant.seen.next_wake
        if run is not None and policy.missed_runs is MissedRuns.SKIP and now - run > MISSED_AFTER:
            run = None
        opens = now if schedule.awake_until(policy.schedule, now) else schedule.next_begin(policy.schedule, now)
        times = [at for at in (run, opens) if at is not None]
        if not times:
            return None
        often, last = self._tried.get(tenant.name, (0, now))
        # There was no room for it, say; asking each second would make that worse.
        earliest = last + min(TRIED_AGAIN_AT_MOST, TRIED_AGAIN * 2 ** min(often - 1, 16)) if often else None
        at = min(times) - self._lead(tenant)
        return max(at, earliest) if earliest else at

    def _lead(self, tenant: Tenant) -> timedelta:
        slowest_s = self._chronicle.slowest_wake_s(tenant)
        return timedelta(seconds=LEADS_S[tenant.seen.state] if slowest_s is None else 1.0 + 1.25 * slowest_s)

    async def _look_after(self, name: str, used_before: datetime, now: datetime) -> None:
        """Wake it again if somebody had come between the judgement that it was idle and its sleep."""
        tenant = self._directory.tenant(name)
        last = self._directory.last_activity(tenant) if tenant else None
        if tenant is None or tenant.rung is Rung.RUNNING or last is None:
            self._gone_to_rest.pop(name, None)
        elif last > used_before:
            await self._rungs.rouse(name)
            self._gone_to_rest.pop(name, None)
        elif tenant.seen.state is not State.RUNNING and now - used_before > timedelta(seconds=REMEMBERED_S):
            self._gone_to_rest.pop(name, None)

    def _keep_holds(self, in_use: set[str], calling: set[str], now: datetime) -> None:
        for name in in_use:
            self._moved_at[name] = now
            self._holds.hold(name, "traffic", "bytes move on its connections, or an answer is awaited", now)
        for name in calling:
            self._holds.hold(name, "call", "a model call, a chat or a webhook of its is under way", now)
        for name in self._holds.held_by("call") - calling:
            self._holds.let_go(name, "call")
        since = now - timedelta(seconds=LINGER_S)
        for name in [name for name, at in self._moved_at.items() if not since < at <= now and name not in in_use]:
            del self._moved_at[name]
            self._holds.let_go(name, "traffic")

    def _names(self, addresses: Collection[str]) -> set[str]:
        found = {self._at_address(address) for address in addresses}
        return {name for name in found if name is not None and self._directory.tenant(name) is not None}

    async def _refresh(self) -> None:
        """Schedules open by the clock, not by an event."""
        for tenant in self._directory:
            if tenant.rung is not Rung.RUNNING and (tenant.spec.sleep.schedule or tenant.seen.next_wake):
                self._note(tenant)

    # --- following ----------------------------------------------------------------------------------------------------

    def _follow(self, event: Event) -> None:
        match event:
            case TenantChanged(now=tenant):
                self._on_change(tenant)
            case StateChanged(now=tenant):
                self._note(tenant)
            case TenantGone(tenant=name):
                self._resting.discard(name)
                self._asleep.discard(name)
                self._knocks.discard(name)
                for known in (self._gone_to_rest, self._moved_at, self._wake_at, self._tried):
                    known.pop(name, None)
                self._holds.let_go(name)

    def _on_change(self, tenant: Tenant) -> None:
        now = self._clock.now()
        if tenant.rung is Rung.RUNNING and tenant.name in self._resting:
            self._directory.touch(tenant.name, now)  # whoever is woken, by whomever, gets a whole window
        elif tenant.rung is not Rung.RUNNING and tenant.name not in self._resting:
            self._gone_to_rest[tenant.name] = self._directory.last_activity(tenant) or tenant.created_at
        self._note(tenant)

    def _note(self, tenant: Tenant) -> None:
        resting = tenant.rung is not Rung.RUNNING
        asleep = resting and tenant.seen.state not in (State.RUNNING, State.STARTING)
        (self._resting.add if resting else self._resting.discard)(tenant.name)
        (self._asleep.add if asleep else self._asleep.discard)(tenant.name)
        if tenant.seen.state is State.RUNNING and tenant.seen.ready:
            self._tried.pop(tenant.name, None)
        at = self.wakes_at(tenant, self._clock.now()) if resting else None
        if at is None:
            self._wake_at.pop(tenant.name, None)
        else:
            self._wake_at[tenant.name] = at
