"""What stands between the wish to start a tenant and its start: its turn, room for it, and help with the processor."""

from __future__ import annotations

import time
from collections.abc import Callable

from innkeeper.core.errors import NoCapacity
from innkeeper.core.events import Bus, CapacityShort, Event, StateChanged, TenantChanged, TenantGone
from innkeeper.core.instance import Instance, State
from innkeeper.core.ports import Runtime
from innkeeper.core.room import Room, RoomIsBeingMade
from innkeeper.core.tenant import Tenant
from innkeeper.core.turnstile import Turnstile

CROWDED_S = 15.0
"""So long after a wake was refused for want of memory the host counts as crowded for that tenant."""
ROOM_AGAIN_S = 0.25
"""Room that is being made is looked for so soon again: a page-out takes some tenths of a second."""
TURN_AGAIN_S = 10.0
"""Whoever stands in line is called; this is for the call that got lost."""


class NotYet(Exception):
    """It isn't this tenant's turn, which is nobody's failure: `again_s` says when to ask again at the latest."""

    def __init__(self, why: str, *, again_s: float) -> None:
        super().__init__(why)
        self.why = why
        self.again_s = again_s


class Boarding:
    """Lets tenants start, a few at a time and as many as the memory holds."""

    def __init__(
        self,
        *,
        turnstile: Turnstile[str],
        room: Room,
        runtime: Runtime,
        bus: Bus,
        boost_cpus: float,
        on_boost: Callable[[Tenant], object] = lambda tenant: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.turnstile = turnstile
        self.room = room
        self._runtime = runtime
        self._bus = bus
        self._boost_cpus = boost_cpus
        self._on_boost = on_boost
        self._clock = clock
        self._refused: dict[str, float] = {}
        bus.on_event(self._follow)

    def crowded(self, name: str) -> bool:
        """Whether it was refused just now, for there was no room for it."""
        at = self._refused.get(name)
        if at is not None and self._clock() - at > CROWDED_S:
            del self._refused[name]
            return False
        return at is not None

    async def to_start(self, tenant: Tenant, instance: Instance) -> None:
        """Before a cold start: NotYet, NoCapacity, or it may start now, with more processor time for the while."""
        if not self.turnstile.enter(tenant.name):
            position = self.turnstile.position(tenant.name)
            where = f", number {position.place} of {position.of}" if position else ""
            raise NotYet(f"waiting for its turn to start{where}", again_s=TURN_AGAIN_S)
        await self._room_for(tenant)
        if instance.cpus is not None and instance.cpus < self._boost_cpus:
            await self._runtime.set_cpus(instance, self._boost_cpus)
            self._on_boost(tenant)

    async def to_thaw(self, tenant: Tenant) -> None:
        """Before a thaw: NotYet or NoCapacity where its memory lies in swap and has no room; else at once."""
        if self.room.need_mb(tenant) > 0:
            await self._room_for(tenant)

    def is_starting(self, tenant: Tenant) -> None:
        """It was found starting, whoever let it: it counts."""
        self.turnstile.occupy(tenant.name)

    def failed(self, tenant: Tenant) -> None:
        """Its start went wrong: the place goes to the next, and it has to stand in line again."""
        self.turnstile.leave(tenant.name)
        self.room.settled(tenant.name, up=False)

    async def _room_for(self, tenant: Tenant) -> None:
        try:
            await self.room.admit(tenant)
        except RoomIsBeingMade:
            raise NotYet("waiting for memory that others give up", again_s=ROOM_AGAIN_S) from None
        except NoCapacity as problem:
            self.failed(tenant)
            self._refused[tenant.name] = self._clock()
            self._bus.publish(CapacityShort(tenant=tenant.name, problem=problem))
            raise

    def _follow(self, event: Event) -> None:
        match event:
            case TenantGone(tenant=name):
                self.turnstile.leave(name)
                self.room.settled(name, up=False)
                self.room.has_yielded(name)
                self._refused.pop(name, None)
            case TenantChanged(now=tenant) if tenant.target is not State.RUNNING:
                self.turnstile.leave(tenant.name)
                self.room.settled(tenant.name, up=False)
            case StateChanged(now=tenant):
                self._seen(tenant)

    def _seen(self, tenant: Tenant) -> None:
        state = tenant.seen.state
        if state is State.RUNNING and tenant.seen.ready:
            self.turnstile.leave(tenant.name)
            self.room.settled(tenant.name, up=True)
        elif state is State.FAILED:
            self.failed(tenant)
        elif state in (State.STOPPED, State.ABSENT):
            self.room.has_yielded(tenant.name)
