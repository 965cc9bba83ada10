"""The simulated house: requests come in on virtual time, tenants wake, start, idle and go down the ladder.

Who sleeps how deep is decided by the functions that decide it in a real house, `rung_after` and `counted_s`, at sweeps
as far apart as there. What happens between is kept in order by one heap of those that are busy or starting.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from heapq import heappop, heappush

from innkeeper.core.idle import counted_s
from innkeeper.core.ladder import Rung, SleepPolicy, rung_after
from innkeeper.core.simulate import fleet as at
from innkeeper.core.simulate.burden import Burden
from innkeeper.core.simulate.fleet import Fleet
from innkeeper.core.simulate.ledger import Ledger
from innkeeper.core.simulate.ports import Room, Turnstile
from innkeeper.core.simulate.waiting import Waiting
from innkeeper.core.simulate.waits import Waits

Request = tuple[float, int, float]
"""When, whose (numbered from 0), and how many seconds it keeps the tenant busy once that is up."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the house is run by."""

    policy: SleepPolicy
    missing: Collection[Rung] = ()
    sweep_s: float = 15.0
    deadline_s: float = math.inf
    """How long a request is held."""
    room_mb: float = math.inf
    """Memory for tenants."""
    zram_mb: float = math.inf
    zram_ratio: float = 1.0
    swap_mb: float = 0.0
    """On disk, used when zram is full."""


class House:
    """One run."""

    def __init__(
        self, terms: Terms, burden: Burden, *, turnstile: Turnstile, room: Room, begins_s: float, every_s: float
    ) -> None:
        self._terms = terms
        self._burden = burden
        self._turnstile = turnstile
        self._room = room
        self._deepest = rung_after(terms.policy, math.inf, missing=terms.missing)
        self.fleet = Fleet()
        self.ledger = Ledger(
            burden, zram_mb=terms.zram_mb, zram_ratio=terms.zram_ratio, begins_s=begins_s, every_s=every_s
        )
        self._waiting = Waiting()
        self._heap: list[tuple[float, int]] = []
        """When a tenant's work ends, or (its number inverted) when its start does."""
        self._next_sweep_s = self._grid(begins_s)
        self.now = begins_s
        self.waits = {rung: Waits(limit_s=terms.deadline_s) for rung in Rung}
        """Of requests, by the rung that the tenant came from; RUNNING where it was up and ready."""
        self.queued = Waits()
        """Of starts, for their turn."""
        self.wakes = dict.fromkeys(Rung, 0)
        self.evictions = dict.fromkeys(Rung, 0)
        """By the rung that somebody had to go to so that another could come up."""
        self.events = 0
        """How much there was to do, in steps of constant work."""

    # --- time ---------------------------------------------------------------------------------------------------------

    def take(self, request: Request) -> None:
        """One request, with everything that happens before it; requests come in the order of time."""
        when, tenant, busy_s = request
        self.run_until(when)
        if tenant >= len(self.fleet):
            self.grow(tenant + 1)
        self._arrive(when, tenant, busy_s)

    def grow(self, size: int) -> None:
        """As many tenants, the new ones stopped."""
        known = len(self.fleet)
        self.fleet.grow(size)
        self.ledger.enter(len(self.fleet) - known)

    def run_until(self, when: float) -> None:
        """Let happen all that happens before `when`, and at it."""
        heap = self._heap
        while True:
            upcoming_s = heap[0][0] if heap else math.inf
            moment = min(upcoming_s, self._next_sweep_s)
            if moment > when:
                break
            self.now = moment
            if self.ledger.ends_s <= moment:
                self.ledger.roll(moment)
            self.events += 1
            if upcoming_s <= self._next_sweep_s:
                _, what = heappop(heap)
                if what >= 0:
                    self._at_rest(what)
                else:
                    self._is_up(~what)
            else:
                self._sweep()
                if not heap and self._settled():
                    self._next_sweep_s = max(self._next_sweep_s, self._grid(when))  # none between would move anybody
        self.now = when
        if self.ledger.ends_s <= when:
            self.ledger.roll(when)

    def drain(self) -> None:
        """Let time go on until nobody waits for a start, or for its end."""
        while self.ledger.counts[at.QUEUED] or self.ledger.counts[at.STARTING]:
            self.run_until(self._heap[0][0])

    def _grid(self, when: float) -> float:
        step_s = self._terms.sweep_s
        return math.ceil(when / step_s) * step_s

    def _settled(self) -> bool:
        """Whether nobody has a rung below to go to."""
        deepest = at.PLACE_ON[self._deepest]
        return all(place == deepest or self.fleet.oldest(place) is None for place in at.LISTS)

    # --- up the ladder ------------------------------------------------------------------------------------------------

    def _arrive(self, when: float, tenant: int, busy_s: float) -> None:
        self.events += 1
        self.ledger.open.requests += 1
        fleet = self.fleet
        place = fleet.places[tenant]
        if place in (at.UP, at.BACK):
            self._more_work(when, tenant, busy_s)
        elif place in (at.PAUSED, at.PAUSED_BACK):
            fleet.leave(tenant)
            self._wake(when, tenant, busy_s, at.UP if place == at.PAUSED else at.BACK, Rung.PAUSED)
        elif place == at.PAGED:
            fleet.leave(tenant)
            if self._make_room(place, at.BACK):
                self._wake(when, tenant, busy_s, at.BACK, Rung.PAGED)
            else:
                self._refuse(tenant, 1, place)
        elif place == at.STARTING:
            self._answer(tenant, fleet.ready_at[tenant] - when)
            fleet.busy_until[tenant] = max(fleet.busy_until[tenant], fleet.ready_at[tenant] + busy_s)
        else:
            self._ask_for_start(when, tenant, busy_s)

    def _more_work(self, when: float, tenant: int, busy_s: float) -> None:
        """It is up, or just about to be."""
        fleet = self.fleet
        ready_s = max(when, fleet.ready_at[tenant])
        if ready_s > when:
            self._answer(tenant, ready_s - when)
        else:
            self.waits[Rung.RUNNING].add(0.0)
        if fleet.is_idle(tenant):
            fleet.leave(tenant)
            self._busy(tenant, ready_s + busy_s)
        else:
            fleet.busy_until[tenant] = max(fleet.busy_until[tenant], ready_s + busy_s)

    def _wake(self, when: float, tenant: int, busy_s: float, place: int, rung: Rung) -> None:
        """Out of a freeze: no start, and no turn to wait for."""
        ready_s = when + self._burden.wake_s[rung]
        self.wakes[rung] += 1
        self._goes_to(tenant, place)
        self.fleet.came_from[tenant] = at.PLACE_ON[rung]
        self.fleet.ready_at[tenant] = ready_s
        self._answer(tenant, ready_s - when)
        self._busy(tenant, ready_s + busy_s)

    def _ask_for_start(self, when: float, tenant: int, busy_s: float) -> None:
        """From a rung without a process: every start takes a turn."""
        fleet = self.fleet
        place = fleet.places[tenant]
        self._waiting.add(tenant, when, busy_s)
        if place == at.QUEUED:
            return
        if place == at.SAVED:
            fleet.leave(tenant)
        fleet.came_from[tenant] = place
        self._goes_to(tenant, at.QUEUED)
        if self._turnstile.ask(tenant):
            self._start(tenant)

    def _start(self, tenant: int) -> None:
        """It is its turn, and then that of the next for as long as there is no room."""
        starting: int | None = tenant
        while starting is not None and not self._begin(starting):
            self.events += 1
            starting = self._turnstile.done(starting)

    def _begin(self, tenant: int) -> bool:
        fleet = self.fleet
        asked = self._waiting.take(tenant)
        rung = at.RUNG_OF[fleet.came_from[tenant]]
        if not self._make_room(at.QUEUED, at.STARTING):
            self._goes_to(tenant, fleet.came_from[tenant])
            self._refuse(tenant, len(asked), fleet.came_from[tenant])
            return False
        ready_s = self.now + self._burden.wake_s[rung]
        self.wakes[rung] += 1
        self.ledger.open.cold_starts += rung is Rung.STOPPED
        self.queued.add(self.now - asked[0][0])
        self._goes_to(tenant, at.STARTING)
        fleet.ready_at[tenant] = ready_s
        fleet.busy_until[tenant] = ready_s + max(busy_s for _, busy_s in asked)
        for when, _ in asked:
            self._answer(tenant, ready_s - when)
        heappush(self._heap, (ready_s, ~tenant))
        return True

    def _is_up(self, tenant: int) -> None:
        self._goes_to(tenant, at.UP)
        heappush(self._heap, (self.fleet.busy_until[tenant], tenant))
        following = self._turnstile.done(tenant)
        if following is not None:
            self._start(following)

    def _answer(self, tenant: int, wait_s: float) -> None:
        self.waits[at.RUNG_OF[self.fleet.came_from[tenant]]].add(wait_s)

    def _refuse(self, tenant: int, requests: int, place: int) -> None:
        """It stays where it was; as at the gate, being asked for in vain is a sign of life, too."""
        self.ledger.open.refused += requests
        if place in at.LISTS:
            self.fleet.busy_until[tenant] = self.now
            self.fleet.join(tenant, place)

    # --- down the ladder ----------------------------------------------------------------------------------------------

    def _busy(self, tenant: int, until_s: float) -> None:
        self.fleet.busy_until[tenant] = until_s
        heappush(self._heap, (until_s, tenant))

    def _at_rest(self, tenant: int) -> None:
        """Its work has ended, unless more came meanwhile."""
        until_s = self.fleet.busy_until[tenant]
        if until_s > self.now:
            heappush(self._heap, (until_s, tenant))
        else:
            self.fleet.join(tenant, at.UP)

    def _sweep(self) -> None:
        """Put down whoever has been idle for long enough, as the sleeper does."""
        terms, now = self._terms, self.now
        self._next_sweep_s = now + terms.sweep_s
        for place in reversed(at.LISTS):  # who lies deeper has been idle for longer, and is the first to go on
            here = at.RUNG_OF[place]
            while (tenant := self.fleet.oldest(place)) is not None:
                idle_s = counted_s(now - self.fleet.busy_until[tenant], now, terms.policy.check_every_s)
                rung = rung_after(terms.policy, idle_s, missing=terms.missing)
                if rung.depth <= here.depth or not self._put_down(tenant, rung):
                    break
                self.events += 1

    def _put_down(self, tenant: int, rung: Rung) -> bool:
        """Whether it could go there: swap may be full, and then the rung above serves."""
        place = self.fleet.places[tenant]
        if rung is Rung.PAGED and not self.can_page():
            if place not in (at.UP, at.BACK):
                return False
            rung = Rung.PAUSED
        self.fleet.leave(tenant)
        target = at.PLACE_ON[rung]
        self._goes_to(tenant, at.SLEEPING_AGAIN.get((place, target), target))
        if target in at.LISTS:
            self.fleet.join(tenant, target)
        return True

    def _make_room(self, before: int, after: int) -> bool:
        """Whether one more can be there; others go down the ladder for it."""
        while self.ledger.ram_after(before, after) > self._terms.room_mb:
            chosen = self._room.choose(self)
            tenant = None if chosen is None else self.oldest(chosen[0])
            if chosen is None or tenant is None or not self._put_down(tenant, chosen[1]):
                return False
            self.evictions[chosen[1]] += 1
            self.events += 1
        return True

    def oldest(self, rung: Rung) -> int | None:
        """Who has been idle for longest on that rung."""
        return self.fleet.oldest(at.PLACE_ON[rung])

    def can_page(self) -> bool:
        """Whether swap has room for one more."""
        return self.ledger.swap_after(at.PAUSED, at.PAGED) <= self._terms.zram_mb + self._terms.swap_mb

    def _goes_to(self, tenant: int, place: int) -> None:
        self.ledger.move(self.now, self.fleet.places[tenant], place)
        self.fleet.places[tenant] = place
