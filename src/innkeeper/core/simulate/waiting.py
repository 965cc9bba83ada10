"""Requests that wait for a start that hasn't begun: twenty bytes each, for in a flood there may be millions."""

from __future__ import annotations

from array import array

NONE = -1


class Waiting:
    """By tenant, in the order in which they came."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._when = array("d")
        self._busy_s = array("d")
        self._before = array("i")
        self._free: list[int] = []

    def add(self, tenant: int, when: float, busy_s: float) -> None:
        """One more waits for that tenant."""
        before = self._last.get(tenant, NONE)
        if self._free:
            place = self._free.pop()
            self._when[place], self._busy_s[place], self._before[place] = when, busy_s, before
        else:
            place = len(self._when)
            self._when.append(when)
            self._busy_s.append(busy_s)
            self._before.append(before)
        self._last[tenant] = place

    def take(self, tenant: int) -> list[tuple[float, float]]:
        """When they came and how long they keep it busy; they wait no more."""
        found = []
        place = self._last.pop(tenant)
        while place != NONE:
            found.append((self._when[place], self._busy_s[place]))
            self._free.append(place)
            place = self._before[place]
        found.reverse()
        return found
