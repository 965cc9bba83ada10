"""How long requests waited, kept in a few thousand numbers however many requests there are."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How waits are spread, in seconds; None without any. Percentiles are told to three digits."""

    number: int = 0
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None


class Waits:
    """Counts waits by their first three digits, so that a percentile is at most half a percent off."""

    def __init__(self, *, limit_s: float = inf) -> None:
        self._numbers: dict[float, int] = {}
        self._worst = 0.0
        self._limit_s = limit_s
        self.too_long = 0
        """How many were longer than the limit."""

    def add(self, wait_s: float) -> None:
        """One more."""
        rounded = float(f"{wait_s:.3g}") if wait_s else 0.0
        self._numbers[rounded] = self._numbers.get(rounded, 0) + 1
        if wait_s > self._worst:
            self._worst = wait_s
        if wait_s > self._limit_s:
            self.too_long += 1

    def number_at(self, wait_s: float) -> int:
        """How many were just so long."""
        return self._numbers.get(wait_s, 0)

    def spread(self) -> Spread:
        """What there is to tell of them."""
        number = sum(self._numbers.values())
        if not number:
            return Spread()
        p50, p95, p99 = (self._at(number, share) for share in (0.50, 0.95, 0.99))
        return Spread(number=number, p50_s=p50, p95_s=p95, p99_s=p99, max_s=round(self._worst, 3))

    def _at(self, number: int, share: float) -> float:
        passed = 0
        for wait_s in sorted(self._numbers):
            passed += self._numbers[wait_s]
            if passed >= share * number:
                return wait_s
        return self._worst
