"""The slow chores: activity written down, what has had its time forgotten, unused networks removed, and what is known
of tenants and people read anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import structlog

from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, TenantGone
from innkeeper.core.identities import Identities
from innkeeper.core.past import Past
from innkeeper.core.ports import Clock, Runtime, Store
from innkeeper.loops.queue import KeyedQueue
from innkeeper.loops.supervise import Supervisor, every

log = structlog.get_logger("innkeeper.housekeeping")

ACTIVITY_EVERY_S = 15.0
REPAIR_EVERY_S = 300.0
CATCH_UP_EVERY_S = 5.0
FORGET_EVERY_S = 3600.0
DELIVERED_KEPT = 10_000
"""So many of a tenant's delivered messages are known again at most: some 3 MB."""
PRUNE_AFTER_S = 0.5
"""After a tenant went, so that many that go at once are one look."""


async def _nothing_to_cut() -> int:
    return 0


class Housekeeping:
    """Keeps house."""

    def __init__(
        self,
        *,
        store: Store,
        runtime: Runtime,
        directory: Directory,
        identities: Identities,
        bus: Bus,
        clock: Clock,
        operations_kept: timedelta,
        messages_kept: timedelta,
        take_pasts: Callable[[], Mapping[str, Past]] = dict,
        cut_trail: Callable[[], Awaitable[int]] = _nothing_to_cut,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._directory = directory
        self._identities = identities
        self._clock = clock
        self._operations_kept = operations_kept
        self._take_pasts = take_pasts
        self._messages_kept = messages_kept
        self._cut_trail = cut_trail
        self._prunes = KeyedQueue()
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loops to the supervisor."""
        supervisor.add("activity", lambda: every(ACTIVITY_EVERY_S, _tolerant(self.save_activity)))
        supervisor.add("repair", lambda: every(REPAIR_EVERY_S, _tolerant(self.repair)))
        supervisor.add("catch-up", lambda: every(CATCH_UP_EVERY_S, _tolerant(self.catch_up)))
        supervisor.add("forget", lambda: every(FORGET_EVERY_S, _tolerant(self.forget)))
        supervisor.add("trail", lambda: every(FORGET_EVERY_S, _tolerant(self.cut_trail)))
        supervisor.add("prune", self._prune_forever)

    async def save_activity(self) -> None:
        """Write down who was active since the last time, and what was measured."""
        if activity := self._directory.take_activity():
            await self._store.touch(activity)
        if pasts := self._take_pasts():
            await self._store.remember(pasts)

    async def repair(self) -> None:
        """Read anew what another control plane may have changed."""
        await self._directory.load()
        await self._identities.load()

    async def catch_up(self) -> None:
        """Read people anew as soon as the store answers again, where it didn't after a change."""
        if self._identities.behind:
            await self._identities.load()

    async def forget(self) -> None:
        """Drop operations, idempotency keys, ids of delivered messages and credentials that have had their time."""
        now = self._clock.now()
        dropped = await self._store.forget(before=now - self._operations_kept)
        async with self._store.begin() as tx:
            dropped += await tx.messages.forget(before=now - self._messages_kept, keep=DELIVERED_KEPT)
            dropped += await tx.people.drop_expired(now)
        if dropped:
            log.info("forgotten", rows=dropped)

    async def cut_trail(self) -> None:
        """Take off the trail's beginning what has been kept for long enough."""
        if cut := await self._cut_trail():
            log.info("trail cut", lines=cut)

    async def prune(self) -> None:
        """Remove the networks that no tenant needs any more."""
        async with self._store.look() as tx:
            used = [tenant.slot for tenant in await tx.tenants()]
        await self._runtime.prune(used)

    def _follow(self, event: Event) -> None:
        if isinstance(event, TenantGone):
            self._prunes.add_later("networks", PRUNE_AFTER_S)

    async def _prune_forever(self) -> None:
        while True:
            key = await self._prunes.get()
            try:
                await self.prune()
            except Problem as problem:
                self._prunes.failed(key)
                log.warning("prune failed", code=problem.code, problem=problem.message)
            except BaseException:
                self._prunes.failed(key)
                raise
            else:
                self._prunes.done(key)


def _tolerant(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """The same work, with Problems logged instead of raised: the next round is the retry."""

    async def tried() -> None:
        try:
            await work()
        except Problem as problem:
            log.warning("chore failed", code=problem.code, problem=problem.message)

    return tried
