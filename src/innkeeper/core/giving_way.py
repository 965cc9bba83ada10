"""Who gives way when the memory is short: in which order those who sleep or idle go further down the ladder.

The same few lines decide in a real house and in a simulated one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, Protocol, TypeVar

from innkeeper.core.ladder import Rung

Guest = TypeVar("Guest", covariant=True)


class Idle(Protocol[Guest]):
    """Who is idle, as far as it has to be known."""

    def oldest(self, rung: Rung) -> Guest | None:
        """Who has been idle for longest on that rung; None: nobody is."""
        ...

    def can_page(self) -> bool:
        """Whether swap has room for one more."""
        ...


class GivingWay(Generic[Guest]):
    """Least recently used first: out to swap as long as that has room, then all the way down."""

    def __init__(self, missing: Collection[Rung] = ()) -> None:
        self._pages = Rung.PAGED not in missing

    def choose(self, idle: Idle[Guest]) -> tuple[Rung, Rung] | None:
        """The oldest of the first rung goes to the second; None: nobody can.

        Those who are frozen have been idle for longer than those who still run; and who lies in swap holds the least,
        and costs the most to wake, so they go last.
        """
        for rung in (Rung.PAUSED, Rung.RUNNING):
            if idle.oldest(rung) is not None:
                return rung, Rung.PAGED if self._pages and idle.can_page() else Rung.STOPPED
        if idle.oldest(Rung.PAGED) is not None:
            return Rung.PAGED, Rung.STOPPED
        return None
