"""What a simulation leaves to others: whose turn it is to start, and who makes room for somebody that wakes.

Both are small on purpose, so that what decides it in a real house can stand in for the simple ones here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Protocol

from innkeeper.core.ladder import Rung


class Turnstile(Protocol):
    """Lets only so many start at once. A place is taken by `ask` or handed on by `done`, and freed by `done`."""

    def ask(self, tenant: int) -> bool:
        """Whether it may start now; else it stands in the queue from now on. Asked once for each start."""
        ...

    def done(self) -> int | None:
        """A start has ended: who may start in its place now; None: nobody waits."""
        ...


class Idle(Protocol):
    """Who is idle, as far as those who make room need to know."""

    def oldest(self, rung: Rung) -> int | None:
        """Who has been idle for longest on that rung."""
        ...

    def can_page(self) -> bool:
        """Whether swap has room for one more."""
        ...


class Room(Protocol):
    """Says who goes down the ladder so that another can come up."""

    def choose(self, idle: Idle) -> tuple[Rung, Rung] | None:
        """The oldest of the first rung goes to the second, which is deeper; None: nobody can. Asked until it is
        enough."""
        ...


class FirstComeFirstServed:
    """So many slots, and one queue."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._queue: deque[int] = deque()

    def ask(self, tenant: int) -> bool:
        """Whether a slot is free."""
        if self._free:
            self._free -= 1
            return True
        self._queue.append(tenant)
        return False

    def done(self) -> int | None:
        """The next in the queue, which takes over the slot."""
        if self._queue:
            return self._queue.popleft()
        self._free += 1
        return None


class LeastRecentlyUsed:
    """Who has been idle for longest goes first: out to swap as long as that has room, then all the way down."""

    def __init__(self, missing: Collection[Rung] = ()) -> None:
        self._pages = Rung.PAGED not in missing

    def choose(self, idle: Idle) -> tuple[Rung, Rung] | None:
        """Paused ones have been idle for longer than those that still run; paged ones hold the least."""
        for rung in (Rung.PAUSED, Rung.RUNNING):
            if idle.oldest(rung) is not None:
                return rung, Rung.PAGED if self._pages and idle.can_page() else Rung.STOPPED
        if idle.oldest(Rung.PAGED) is not None:
            return Rung.PAGED, Rung.STOPPED
        return None
