"""Room for one more: no wake may push the host out of memory.

What a tenant will need is told by its own past. Where that doesn't fit, the sleepers who were used least recently go
further down the ladder; and where that wouldn't be enough either, the wake is refused, before anything is begun.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from innkeeper.core.chronicle import MB, Chronicle
from innkeeper.core.directory import Directory
from innkeeper.core.errors import NoCapacity, Problem
from innkeeper.core.giving_way import GivingWay
from innkeeper.core.guests import IdleGuests, Yielding, yields
from innkeeper.core.idle import quiet_since
from innkeeper.core.instance import Usage
from innkeeper.core.ladder import Offer, Rung
from innkeeper.core.past import worst
from innkeeper.core.ports import HostMemory, MemoryNow
from innkeeper.core.tenant import Tenant, Wanted

YIELD_WITHIN_S = 60.0
"""A sleeper that was sent further down and hasn't gone by then is counted as one that takes its memory still."""
KNOWN_AFTER_S = 10.0
"""So long after a tenant is up, what it takes tells what others of its kind will."""
SETTLED_S = 30.0
"""So long after a tenant is up, what it was promised still counts: the first answer takes the most memory."""

Measure = Callable[[str], Awaitable[Usage | None]]
"""What a tenant's instance takes now; None where there is none."""
PutDown = Callable[[str, Rung], Awaitable[object]]


class RoomIsBeingMade(Exception):
    """Sleepers are on their way down; ask again soon."""


class Room:
    """Knows what is free, what is promised, and who can make room."""

    def __init__(
        self,
        *,
        directory: Directory,
        chronicle: Chronicle,
        memory: HostMemory,
        measure: Measure,
        put_down: PutDown,
        offer: Offer,
        is_idle: Callable[[Tenant], bool] = lambda tenant: False,
        may_go: Callable[[Tenant], Awaitable[bool]],
        reserve_mb: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._chronicle = chronicle
        self._memory = memory
        self._measure = measure
        self._put_down = put_down
        self._offer = offer
        self._is_idle = is_idle
        self._may_go = may_go
        self.reserve_mb = reserve_mb
        """What no wake may take."""
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._promised: dict[str, float] = {}
        self._settling: dict[str, float] = {}
        self._yielding: dict[str, tuple[float, float]] = {}

    def need_mb(self, tenant: Tenant) -> float:
        """What it will take once it is up, beyond what it takes where it is: by its past, else by that of its kind,
        else all that it may."""
        rung = self._chronicle.rung_of(tenant)
        if rung in (Rung.RUNNING, Rung.PAUSED):
            return 0.0
        past = self._chronicle.past(tenant)
        need = worst(past.awake_mb.get(rung, ())) or self._of_its_kind(tenant, rung) or tenant.spec.limits.memory_mb
        kept = worst(past.asleep_mb.get(rung, ())) or 0.0
        return min(max(0.0, need - kept), tenant.spec.limits.memory_mb)

    async def admit(self, tenant: Tenant) -> None:
        """Promise it its room. Raises RoomIsBeingMade and NoCapacity; asked again, it is the same promise."""
        async with self._one_at_a_time:  # between the look at what is free and the promise nobody may promise
            await self._admit(tenant)

    async def _admit(self, tenant: Tenant) -> None:
        now = await self._memory.now()
        need_mb = self.need_mb(tenant)
        if now.available_mb - self.reserve_mb - self._all_promised(but=tenant.name) >= tenant.spec.limits.memory_mb:
            self._promise(tenant, need_mb)  # it fits whatever it takes: nothing has to be measured
            return
        free_mb = await self._free_mb(now, but=tenant.name)
        need_mb = self.need_mb(tenant)  # more may be known by now
        short_mb = need_mb - free_mb
        if short_mb <= 0:
            self._promise(tenant, need_mb)
            return
        coming_mb = self._coming_mb()
        if coming_mb >= short_mb:
            raise RoomIsBeingMade
        yielding = await self._who_gives_way(now, short_mb - coming_mb, but=tenant.name)
        if not yielding:
            raise NoCapacity(
                f"{tenant.name} needs {need_mb:.0f} MB of memory, and {max(0.0, need_mb - short_mb):.0f} MB are free.",
            )
        for each in yielding:
            self._yielding[each.name] = each.frees_mb, self._clock()
            await self._put_down(each.name, each.rung)
        raise RoomIsBeingMade

    async def spare(self, name: str, need_mb: float) -> bool:
        """Promise so much to what is no tenant, where it is free without anybody's giving way; until `settled`."""
        async with self._one_at_a_time:
            free_mb = await self._free_mb(await self._memory.now(), but=name)
            if free_mb >= need_mb:
                self._promised[name] = need_mb
            return free_mb >= need_mb

    def settled(self, name: str, *, up: bool) -> None:
        """It is up, and what it was promised is counted for a while still; or it won't come, and nothing is."""
        if up and name in self._promised:
            self._settling[name] = self._clock()
        else:
            self._promised.pop(name, None)
            self._settling.pop(name, None)

    def has_yielded(self, name: str) -> None:
        """A sleeper has gone where it was sent: what it took is free, and will be measured."""
        self._yielding.pop(name, None)

    def _promise(self, tenant: Tenant, need_mb: float) -> None:
        self._promised[tenant.name] = need_mb
        self._settling.pop(tenant.name, None)

    def _all_promised(self, *, but: str) -> float:
        since = self._clock() - SETTLED_S
        for name in [name for name, at in self._settling.items() if at < since]:
            self.settled(name, up=False)
        return sum(mb for name, mb in self._promised.items() if name != but)

    async def _free_mb(self, now: MemoryNow, *, but: str) -> float:
        """What is left when everybody has taken what was promised; what they have taken of it isn't free any more."""
        left = 0.0
        for name, promised_mb in list(self._promised.items()):
            usage = await self._measured(name) if name != but else None
            if usage is not None:
                left += max(0.0, self._still_mb(name, promised_mb, usage) - usage.rss_bytes / MB)
            elif name != but:
                left += promised_mb
        return now.available_mb - self.reserve_mb - left

    def _still_mb(self, name: str, promised_mb: float, usage: Usage) -> float:
        """What it may come to: of one that has been up for a while, by then no more than others of its kind took.

        A hundred that nobody knew were promised their limits; the first of them tell what the others will take.
        """
        tenant = self._directory.tenant(name)
        up_at = self._settling.get(name)
        if tenant is None or up_at is None or self._clock() - up_at < KNOWN_AFTER_S:
            return promised_mb
        self._chronicle.note_usage(tenant, usage)
        return min(promised_mb, worst(self._chronicle.past(tenant).awake_mb.get(Rung.STOPPED, ())) or promised_mb)

    def _coming_mb(self) -> float:
        since = self._clock() - YIELD_WITHIN_S
        self._yielding = {name: (mb, at) for name, (mb, at) in self._yielding.items() if at >= since}
        return sum(mb for mb, _ in self._yielding.values())

    async def _who_gives_way(self, now: MemoryNow, short_mb: float, *, but: str) -> list[Yielding]:
        """As many as it takes, least recently used first; [] where all together wouldn't do."""
        guests = IdleGuests(swap_free_mb=now.swap_free_mb)
        for tenant in self._directory:
            if tenant.wanted is Wanted.AUTO and tenant.name != but and tenant.name not in self._yielding:
                rung = self._idle_on(tenant)
                if rung is not None:
                    guests.add(tenant, rung, quiet_since(tenant, self._directory.last_activity(tenant)))
        policy: GivingWay[Tenant] = GivingWay(self._offer.missing)
        yielding: list[Yielding] = []
        freed_mb = 0.0
        while freed_mb < short_mb:
            chosen = policy.choose(guests)
            if chosen is None:
                return []
            tenant = guests.take(chosen[0])
            if chosen[0] is Rung.RUNNING and not await self._asked(tenant):
                continue
            usage = await self._measured(tenant.name)
            if usage is not None:
                # One that should lie in swap by now couldn't be brought there.
                rung = Rung.STOPPED if tenant.rung is Rung.PAGED else chosen[1]
                each = yields(tenant.name, rung, usage, now)
                guests.swap_free_mb -= each.takes_swap_mb
                freed_mb += each.frees_mb
                yielding.append(each)
        return yielding

    def _idle_on(self, tenant: Tenant) -> Rung | None:
        """The rung on which it idles; None: it can't give way."""
        rung = self._chronicle.rung_of(tenant)
        if rung in (Rung.PAUSED, Rung.PAGED) and tenant.rung in (Rung.PAUSED, Rung.PAGED):
            return rung
        if rung is Rung.RUNNING and tenant.rung is Rung.RUNNING and tenant.seen.ready and self._is_idle(tenant):
            return rung
        return None

    async def _asked(self, tenant: Tenant) -> bool:
        """Whether it may go though its window isn't over; the look takes a moment, in which somebody may come."""
        try:
            return await self._may_go(tenant) and self._idle_on(tenant) is Rung.RUNNING
        except Problem:
            return False

    async def _measured(self, name: str) -> Usage | None:
        try:
            return await self._measure(name)
        except Problem:  # gone meanwhile, or the runtime doesn't say: then it can't be counted on
            return None

    def _of_its_kind(self, tenant: Tenant, rung: Rung) -> float | None:
        return worst(
            tuple(
                figure
                for other in self._directory
                if other.spec.agent == tenant.spec.agent
                for figure in self._chronicle.past(other).awake_mb.get(rung, ())
            )
        )
