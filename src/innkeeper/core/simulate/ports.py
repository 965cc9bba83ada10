"""What a simulation leaves to others: whose turn it is to start, and who gives way to somebody that wakes.

In both the same code decides that does in a real house.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from innkeeper.core import giving_way, turnstile
from innkeeper.core.ladder import Rung

Idle = giving_way.Idle[int]


class Turnstile(Protocol):
    """Lets only so many start at once."""

    def ask(self, tenant: int) -> bool:
        """Whether it may start now; else it stands in the queue from now on. Asked once for each start."""
        ...

    def done(self, tenant: int) -> int | None:
        """Its start has ended, or come to nothing: who may start in its place now; None: nobody waits."""
        ...


class Room(Protocol):
    """Says who goes down the ladder so that another can come up."""

    def choose(self, idle: Idle) -> tuple[Rung, Rung] | None:
        """The oldest of the first rung goes to the second, which is deeper; None: nobody can. Asked until it is
        enough."""
        ...


class AtTheTurnstile:
    """The turnstile itself; a request waits for everybody in its line."""

    def __init__(self, slots: int) -> None:
        self._called: deque[int] = deque()
        self._turnstile: turnstile.Turnstile[int] = turnstile.Turnstile(
            places=slots, on_turn=self._called.append, clock=lambda: 0.0
        )

    def ask(self, tenant: int) -> bool:
        """Whether there is a place for it."""
        return self._turnstile.enter(tenant)

    def done(self, tenant: int) -> int | None:
        """Whoever is called when that one leaves."""
        self._turnstile.leave(tenant)
        return self._called.popleft() if self._called else None
