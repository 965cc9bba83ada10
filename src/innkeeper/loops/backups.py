"""Begins backups when they are due, and raises alarms over those that fail or are late. All of it told from the store:
what was missed while nothing ran is due now."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from innkeeper.core.access import SYSTEM
from innkeeper.core.backing_up import ORIGIN, SINCE
from innkeeper.core.backups import Backups, Overview
from innkeeper.core.errors import Problem
from innkeeper.core.events import AlertRaised, Bus
from innkeeper.core.operations import OperationKind
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.snapshots import CONTROL
from innkeeper.core.ports.stills import Stills
from innkeeper.core.snapshots import BackupState, Origin
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.loops.supervise import Supervisor, every

log = structlog.get_logger("innkeeper.backups")

LOOK_EVERY_S = 120.0
"""At 10,000 tenants a look takes 0.4 s of a core, in pieces of milliseconds."""
AT_ONCE = 250
"""So many are looked at between two turns of others, the gate above all: a few milliseconds."""
ALERT_AGAIN = timedelta(hours=20)
"""Once a day, also where the day's first attempt is a little earlier than yesterday's."""
FAILURES_TOLERATED = 3
"""In a row: a target that is restarted is nothing to wake somebody up for."""
BEGUN_AT_ONCE = 50
"""No more are open: more wouldn't be carried out sooner, and whoever looks for open ones reads all of them."""


class BackupLoops:
    """Looks who is due."""

    def __init__(
        self,
        *,
        store: Store,
        backups: Backups,
        stills: Stills,
        bus: Bus,
        clock: Clock,
        tell: Callable[[Sequence[Overview], datetime], object] = lambda overviews, now: None,
    ) -> None:
        self._store = store
        self._backups = backups
        self._stills = stills
        self._bus = bus
        self._clock = clock
        self._tell = tell
        """Given how all stand, after each look: for the metrics."""
        self._tidied = False

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        if self._backups.targets:
            supervisor.add("backups", lambda: every(LOOK_EVERY_S, self._tolerantly))

    async def _tolerantly(self) -> None:
        try:
            if not self._tidied:
                await self.tidy()
                self._tidied = True
            await self.look()
        except Problem as problem:  # the next round is the retry
            log.warning("backups weren't looked at", code=problem.code, problem=problem.message)

    async def tidy(self) -> None:
        """Remove what works that have ended left in the staging when their process died."""
        async with self._store.look() as tx:
            open_ = {each.id for each in await tx.operations(open_only=True)}
        for operation in await self._stills.staged():
            if operation not in open_:
                await self._stills.clear(operation)

    async def look(self) -> None:
        """Begin what is due, and tell what is wrong."""
        now = self._clock.now()
        states = await self._states()
        async with self._store.look() as tx:
            found = await tx.operations(open_only=True)
        under_way = {each.tenant_id for each in found if each.kind is OperationKind.BACKUP}
        not_now = set(under_way)
        self._backups.known = dict(states)
        overviews = [self._backups.of_control_now(states.get(CONTROL))]
        async for tenants in self._tenants(states):
            overviews += [self._backups.of(tenant, states.get(tenant.id)) for tenant in tenants]
            # Who is closed isn't backed up by itself, but is late like anybody else: it may be so for long.
            not_now |= {each.id for each in tenants if each.closed is not None}
        due = [each for each in overviews if each.standing.due and each.owner not in not_now]
        due.sort(key=lambda each: each.standing.next_due or now)
        for each in due[: max(0, BEGUN_AT_ONCE - len(under_way))]:
            await self._begin(each, now)
        await self._alert(overviews, states, now)
        self._tell(overviews, now)

    async def _states(self) -> dict[str, BackupState]:
        states: dict[str, BackupState] = {}
        while True:
            async with self._store.look() as tx:
                page = await tx.snapshots.states(after=max(states, default=""), limit=AT_ONCE)
            states.update(page)
            if len(page) < AT_ONCE:
                return states
            await asyncio.sleep(0)

    async def _tenants(self, states: Mapping[str, BackupState]) -> AsyncIterator[Sequence[Tenant]]:
        """Those who are to be backed up, some at a time."""
        after, page = "", AT_ONCE
        while page == AT_ONCE:
            async with self._store.look() as tx:
                tenants = await tx.tenants(after=after, limit=AT_ONCE)
            yield await self._with_something([each for each in tenants if each.wanted is not Wanted.GONE], states)
            after, page = tenants[-1].name if tenants else "", len(tenants)
            await asyncio.sleep(0)

    async def _with_something(self, tenants: Sequence[Tenant], states: Mapping[str, BackupState]) -> Sequence[Tenant]:
        """Those of them who have a folder, or had one: who was never started has nothing that could be saved."""

        def has_or_had(tenant: Tenant) -> bool:
            state = states.get(tenant.id)
            had = state is not None and (bool(state.good) or state.live is not None)
            return had or os.path.lexists(self._stills.folder(tenant.name))

        return await asyncio.to_thread(lambda: [each for each in tenants if has_or_had(each)])

    async def _begin(self, one: Overview, now: datetime) -> None:
        slot = one.plan.slot(one.owner, now) or now
        try:
            if one.owner == CONTROL:
                await self._backups.create_of_control(actor=SYSTEM, since=slot)
            else:
                detail = {ORIGIN: Origin.SCHEDULE, SINCE: slot.isoformat()}
                await self._backups.begin(one.tenant, actor=SYSTEM, detail=detail)
        except Problem as problem:
            log.warning("backup not begun", tenant=one.tenant, code=problem.code, problem=problem.message)

    async def _alert(self, overviews: Sequence[Overview], states: Mapping[str, BackupState], now: datetime) -> None:
        for one in overviews:
            failing = one.failures >= FAILURES_TOLERATED or (one.failures > 0 and one.standing.late)
            if not (failing or one.standing.late):
                continue
            state = states.get(one.owner) or BackupState(owner=one.owner, tenant=one.tenant)
            if state.alerted_at is not None and timedelta(0) <= now - state.alerted_at < ALERT_AGAIN:
                continue
            async with self._store.begin() as tx:
                current = await tx.snapshots.state(one.owner) or state
                await tx.snapshots.put_state(replace(current, alerted_at=now))
            code = "backup.failed" if failing else "backup.late"
            self._bus.publish(AlertRaised(tenant=one.tenant, code=code, says=says(one, now)))


def says(one: Overview, now: datetime) -> str:
    """What is wrong with the backups of one owner, in a sentence."""
    whose = one.tenant or "the control plane's database"
    good = one.standing.last_good
    since = "there is none yet" if good is None else f"the last good one is of {good:%Y-%m-%d %H:%M} UTC"
    if one.error is not None:
        return f"Backups of {whose} fail ({one.failures} in a row): {one.error.message} And {since}."
    return f"The backup of {whose} is late: {since}."
