"""The turnstile: so many tenants start at once as there are cores, the others wait in line.

A cold start is bound by the processor: four at once on two cores take each as long as two after two, and the first
two wait for nothing (measured with OpenClaw: 18.2 s on average against 13.4).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

LONGEST_S = 300.0
"""A place that isn't given back by then is another's: whoever had it, or his start, is stuck."""
TOLD_FOR_S = 1.0
"""Positions are worked out for all at once, and so often at most: hundreds may ask for theirs twice a second."""
FAVOURS = 3
"""So many for whom a request waits go ahead of one for whom none does, and not one more: nobody is left for ever."""


Name = TypeVar("Name")


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where in the line somebody stands: 1 is next."""

    place: int
    of: int


class Turnstile(Generic[Name]):
    """Who may start now, and who is next."""

    def __init__(
        self,
        *,
        places: int,
        is_awaited: Callable[[Name], bool] = lambda name: True,
        on_turn: Callable[[Name], object] = lambda name: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._is_awaited = is_awaited
        self._on_turn = on_turn
        self._clock = clock
        self._inside: dict[Name, float] = {}
        self._line: dict[Name, None] = {}
        self._favours = 0
        self._told: tuple[float, dict[Name, int]] | None = None

    @property
    def starting(self) -> int:
        """How many hold a place."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def enter(self, name: Name) -> bool:
        """Whether it may start now; it then holds its place until `leave`. Otherwise it stands in line, and
        `on_turn` is called when it is its turn: to enter again, with its place kept for it."""
        self._clear_stuck()
        if name in self._inside:
            return True
        if name not in self._line and len(self._inside) < self._places and not self._line:
            self._inside[name] = self._clock()
            return True
        self._line.setdefault(name)
        self._let_in()
        return name in self._inside

    def occupy(self, name: Name) -> None:
        """It is starting already, whoever let it: it takes a place, though there be none."""
        if name not in self._inside:
            self._told = None
            self._line.pop(name, None)
            self._inside[name] = self._clock()

    def leave(self, name: Name) -> None:
        """It is up, has failed, or needn't start any more; no matter whether it had a place."""
        self._told = None
        self._line.pop(name, None)
        if self._inside.pop(name, None) is not None:
            self._let_in()

    def position(self, name: Name) -> Position | None:
        """Where it stands in the line, as of a second ago; None where it doesn't."""
        if name not in self._line:
            return None
        now = self._clock()
        if self._told is None or now - self._told[0] >= TOLD_FOR_S:
            self._told = now, {each: place for place, each in enumerate(self._order(), start=1)}
        return Position(place=self._told[1][name], of=len(self._line))

    def _let_in(self) -> None:
        self._told = None
        while self._line and len(self._inside) < self._places:
            name = self._next()
            self._favours = self._favours + 1 if name != next(iter(self._line)) else 0
            del self._line[name]
            self._inside[name] = self._clock()
            self._on_turn(name)

    def _next(self) -> Name:
        """The first of `_order`, without looking at more of the line than it takes."""
        first = next(iter(self._line))
        if self._favours >= FAVOURS or self._is_awaited(first):
            return first
        return next((name for name in self._line if self._is_awaited(name)), first)

    def _order(self) -> Iterator[Name]:
        """As they came, but for those whom a request waits for: they go ahead, a few at a time."""
        in_line, awaited = deque(self._line), deque(name for name in self._line if self._is_awaited(name))
        gone: set[Name] = set()
        favours = self._favours
        while in_line:
            ahead = bool(awaited) and awaited[0] != in_line[0] and favours < FAVOURS
            name = awaited[0] if ahead else in_line[0]
            favours = favours + 1 if ahead else 0
            yield name
            gone.add(name)
            for queue in (in_line, awaited):
                while queue and queue[0] in gone:
                    queue.popleft()

    def _clear_stuck(self) -> None:
        now = self._clock()
        for name in [name for name, since in self._inside.items() if now - since > LONGEST_S]:
            self.leave(name)
