"""The simulated tenants: a few bytes each, and for those that are idle an order, the longest idle first."""

from __future__ import annotations

from array import array

from innkeeper.core.ladder import Rung

STOPPED, QUEUED, STARTING, UP, BACK, PAUSED, PAUSED_BACK, PAGED, SAVED = range(9)
"""The places that a tenant can be in. BACK is up again after it was paged out: a part of it is still in swap. Plain
numbers: they index bytes and lists millions of times."""

PLACES = 9
PASSED_MAX = 1000
"""Among more that were asked for in vain somebody comes to lie too far behind, and sleeps deeper a little later."""
NOWHERE = 0
"""The link of who isn't idle: the stopped have no list."""
LISTS = (UP, PAUSED, PAGED, SAVED)
"""The places whose tenants can be idle; each such list lives in the links, under the place's number."""
LIST_OF = (STOPPED, QUEUED, STARTING, UP, UP, PAUSED, PAUSED, PAGED, SAVED)
RUNG_OF = (
    Rung.STOPPED,
    Rung.STOPPED,
    Rung.STOPPED,
    Rung.RUNNING,
    Rung.RUNNING,
    Rung.PAUSED,
    Rung.PAUSED,
    Rung.PAGED,
    Rung.SAVED,
)
PLACE_ON = {Rung.RUNNING: UP, Rung.PAUSED: PAUSED, Rung.PAGED: PAGED, Rung.SAVED: SAVED, Rung.STOPPED: STOPPED}
SLEEPING_AGAIN = {(BACK, PAUSED): PAUSED_BACK}
"""Where a pause changes nothing about what is in swap."""


class Fleet:
    """Every tenant's place, and since when it is idle or until when it is busy. 26 bytes a tenant.

    Tenants are numbered from 0. The idle of each list are linked through arrays, so that any of them leaves in no
    time; the numbers below PLACES are the lists' own ends, a tenant's link is its number and PLACES.
    """

    def __init__(self) -> None:
        self.places = bytearray()
        self.came_from = bytearray()
        """The place that each woke from last."""
        self.busy_until = array("d")
        """When it becomes idle; in the past, since when it has been."""
        self.ready_at = array("d")
        self._before = array("i", range(PLACES))
        self._after = array("i", range(PLACES))

    def __len__(self) -> int:
        return len(self.places)

    def grow(self, size: int) -> None:
        """As many tenants, the new ones stopped."""
        more = size - len(self.places)
        if more <= 0:
            return
        self.places.extend(bytes(more))
        self.came_from.extend(bytes(more))
        for kept in (self.busy_until, self.ready_at):
            kept.frombytes(bytes(8 * more))
        for links in (self._before, self._after):
            links.frombytes(bytes(4 * more))

    def oldest(self, place: int) -> int | None:
        """Who has been idle for longest on that list."""
        first = self._after[place]
        return first - PLACES if first >= PLACES else None

    def join(self, tenant: int, place: int) -> None:
        """It is idle on that list: behind those that have been so for longer, so nearly always the last."""
        link, since = tenant + PLACES, self.busy_until[tenant]
        before, steps = self._before[place], 0
        # Only who was asked for in vain lies deeper than others and has been idle for less time.
        while before >= PLACES and self.busy_until[before - PLACES] > since and steps < PASSED_MAX:
            before, steps = self._before[before], steps + 1
        after = self._after[before]
        self._before[link], self._after[link] = before, after
        self._after[before] = self._before[after] = link

    def leave(self, tenant: int) -> None:
        """It isn't idle any more, or goes to another list."""
        link = tenant + PLACES
        before, after = self._before[link], self._after[link]
        self._after[before], self._before[after] = after, before
        self._before[link] = NOWHERE

    def is_idle(self, tenant: int) -> bool:
        """Whether it is on a list."""
        return self._before[tenant + PLACES] != NOWHERE
