"""What was measured several times, and what can honestly be said of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Some values of one kind, smallest first."""

    values: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def p95(self) -> float | None:
        """The value that 95 % don't exceed; None where there are too few to tell it from the largest."""
        return percentile(self.values, 95) if len(self.values) >= 20 else None

    @property
    def largest(self) -> float:
        """The worst of them."""
        return self.values[-1]


def samples(values: Iterable[float]) -> Samples:
    """The values as samples; at least one."""
    ordered = tuple(sorted(values))
    if not ordered:
        raise ValueError("nothing was measured")
    return Samples(values=ordered)


def percentile(ordered: tuple[float, ...], percent: float) -> float:
    """The smallest of the ordered values that at least `percent` of them don't exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def timed_ms(work: Callable[[], object], times: int) -> Samples:
    """How long `work` takes, each of so many times."""
    taken = []
    for _ in range(times):
        began = perf_counter()
        work()
        taken.append((perf_counter() - began) * 1000)
    return samples(taken)
