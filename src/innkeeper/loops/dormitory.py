"""All that has to do with sleep, put together: who sleeps, how deep, who is woken and who may come up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from innkeeper.core.activate import Activator
from innkeeper.core.boarding import Boarding
from innkeeper.core.chronicle import Chronicle
from innkeeper.core.directory import Directory
from innkeeper.core.events import Bus, CapacityShort, Event
from innkeeper.core.holds import Holds
from innkeeper.core.idle import quiet_since
from innkeeper.core.instance import Instance, PagedOut, State, Usage
from innkeeper.core.ladder import Offer, Rung
from innkeeper.core.operations import Paging
from innkeeper.core.ports import Clock, HostMemory, Movements, Prober, Runtime
from innkeeper.core.room import Room
from innkeeper.core.rungs import Rungs
from innkeeper.core.seating import Seating
from innkeeper.core.suspension import Suspensions
from innkeeper.core.tenant import Tenant
from innkeeper.core.turnstile import Turnstile
from innkeeper.loops.pager import Pager
from innkeeper.loops.queue import KeyedQueue
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.sweeper import Sweeper
from innkeeper.loops.warmup import Warmup
from innkeeper.loops.watcher import Watcher

IDLE_AFTER_S = 60.0
"""Quiet for so long, one that is up may be put to sleep early where another needs its memory."""


@dataclass(frozen=True, kw_only=True)
class SleepSettings:
    """What an operator may set of it."""

    sweep_s: float = 15.0
    starts_at_once: int = 2
    boost_cpus: float = 2.0
    reserve_mb: int = 512
    trim_after: timedelta | None = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What it needs of everything else."""

    directory: Directory
    rungs: Rungs
    offer: Offer
    activator: Activator
    runtime: Runtime
    seating: Seating
    prober: Prober
    movements: Movements
    memory: HostMemory
    queue: KeyedQueue
    bus: Bus
    clock: Clock
    at_address: Callable[[str], str | None]
    calling: Callable[[], Collection[str]]
    listens_to: Callable[[Tenant], Awaitable[Sequence[str]]]
    time_s: Callable[[], float] = time.monotonic


class Dormitory:
    """The parts, and how they know each other."""

    def __init__(self, around: Surroundings, settings: SleepSettings) -> None:
        directory, bus, runtime, clock = around.directory, around.bus, around.runtime, around.clock
        self.holds = Holds()
        self.offer = around.offer
        self.turnstile: Turnstile[str] = Turnstile(
            places=settings.starts_at_once,
            is_awaited=lambda name: around.activator.departure(name) is not None,
            on_turn=around.queue.add,
            clock=around.time_s,
        )
        self.chronicle = Chronicle(directory=directory, bus=bus, is_paged=self._is_paged, clock=around.time_s)
        self.room = Room(
            directory=directory,
            chronicle=self.chronicle,
            memory=around.memory,
            measure=self._measure,
            put_down=around.rungs.rest,
            offer=self.offer,
            is_idle=self._is_idle,
            may_go=self._may_go,
            reserve_mb=settings.reserve_mb,
            clock=around.time_s,
        )
        self.warmup = Warmup(directory=directory, runtime=runtime, holds=self.holds, bus=bus, clock=clock)
        self.boarding = Boarding(
            turnstile=self.turnstile,
            room=self.room,
            runtime=runtime,
            bus=bus,
            boost_cpus=settings.boost_cpus,
            on_boost=self.warmup.boosted,
            clock=around.time_s,
        )
        self.watcher = Watcher(
            directory=directory,
            rungs=around.rungs,
            movements=around.movements,
            at_address=around.at_address,
            calling=lambda: {*around.calling(), *self._chats},
            chronicle=self.chronicle,
            holds=self.holds,
            bus=bus,
            clock=clock,
        )
        self.suspensions = Suspensions(
            seating=around.seating,
            runtime=runtime,
            prober=around.prober,
            holds=self.holds,
            clock=clock,
            look=self.watcher.look_at,
        )
        self.sweeper = Sweeper(
            directory=directory,
            rungs=around.rungs,
            runtime=runtime,
            listens_to=around.listens_to,
            chronicle=self.chronicle,
            holds=self.holds,
            offer=self.offer,
            clock=clock,
            sweep_s=settings.sweep_s,
        )
        self.pager = Pager(
            directory=directory,
            runtime=runtime,
            memory=around.memory,
            chronicle=self.chronicle,
            holds=self.holds,
            offer=self.offer,
            bus=bus,
            clock=clock,
            trim_after=settings.trim_after,
            on_paged=self._on_paged,
        )
        self._chats: Counter[str] = Counter()
        self._tell = around.queue.add
        self._runtime = runtime
        self._directory = directory
        self._clock = clock
        self._activator = around.activator
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand every loop to the supervisor."""
        self.watcher.start(supervisor)
        self.sweeper.start(supervisor)
        self.pager.start(supervisor)
        self.warmup.start(supervisor)

    def _is_paged(self, name: str) -> bool:
        # The pager measures into the chronicle, which asks it: one of them had to be made first.
        return self.pager.is_paged(name)

    def position(self, name: str) -> tuple[int, int] | None:
        """Where it stands among those who wait for their turn to start, and how many they are."""
        found = self.turnstile.position(name)
        return (found.place, found.of) if found else None

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """It works for somebody over our own connection, which says nothing of use: it isn't put to sleep meanwhile."""
        self._chats[name] += 1
        try:
            yield
        finally:
            self._chats[name] -= 1
            self._chats += Counter()  # whoever is at none is forgotten

    def _is_idle(self, tenant: Tenant) -> bool:
        """Whether it could make room though it isn't due to sleep yet."""
        since = quiet_since(tenant, self._directory.last_activity(tenant))
        return not self.holds.of(tenant.name) and (self._clock.now() - since).total_seconds() >= IDLE_AFTER_S

    async def _may_go(self, tenant: Tenant) -> bool:
        return await self.sweeper.may_give_way(tenant)

    async def _measure(self, name: str) -> Usage | None:
        return await self._runtime.usage(await self._runtime.get(name))

    def paging(self, tenant: Tenant, instance: Instance) -> Paging:
        """How far its memory is on its way to swap, where it should lie there."""
        if tenant.rung is not Rung.PAGED or instance.state is not State.PAUSED:
            return Paging.OVER
        outcome = self.pager.outcome(tenant.name)
        if outcome is None:
            return Paging.UNDER_WAY
        return Paging.OVER if outcome.skipped is None else Paging.REFUSED

    def _on_paged(self, tenant: Tenant, paged: PagedOut) -> None:
        self.room.has_yielded(tenant.name)
        self._tell(tenant.name)  # an operation may wait for it

    def _follow(self, event: Event) -> None:
        if isinstance(event, CapacityShort):
            self._activator.fail(event.tenant, event.problem)
