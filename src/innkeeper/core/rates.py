"""How often somebody may call: a bucket of tokens for each, refilled evenly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

SWEEP_AT = 1024
"""Beyond so many buckets, those that are full again are forgotten."""
_HAIR = 1e-6
"""What sums of fractions may be off: whoever waited as long as they were told has a call."""


@dataclass
class _Bucket:
    left: float
    most: int
    at: float


class RateLimits:
    """Buckets by whose they are; a full one is as good as none, so only those in use are kept."""

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._buckets: dict[str, _Bucket] = {}
        self._sweep_at = SWEEP_AT

    @property
    def kept(self) -> int:
        """How many buckets there are."""
        return len(self._buckets)

    def take(self, who: str, per_minute: int) -> float:
        """Take one call from the bucket of `who`: 0, or in how many seconds there is one again, and none is taken.

        A bucket holds a minute's calls. A limit that was changed counts at once, and gives nobody a full bucket.
        """
        now = self._seconds()
        bucket = self._buckets.get(who)
        if bucket is None:
            self._sweep(now)
            bucket = self._buckets[who] = _Bucket(left=per_minute, most=per_minute, at=now)
        refilled = bucket.left + max(0.0, now - bucket.at) * per_minute / 60
        bucket.left, bucket.most, bucket.at = min(per_minute, refilled), per_minute, now
        if bucket.left < 1 - _HAIR:
            return (1 - bucket.left) * 60 / per_minute
        bucket.left = max(0.0, bucket.left - 1)
        return 0.0

    def _sweep(self, now: float) -> None:
        if len(self._buckets) < self._sweep_at:
            return
        self._buckets = {
            who: each for who, each in self._buckets.items() if each.left + (now - each.at) * each.most / 60 < each.most
        }
        self._sweep_at = max(SWEEP_AT, 2 * len(self._buckets))


def whole_seconds(wait_s: float) -> int:
    """As `Retry-After` has them."""
    return max(1, math.ceil(wait_s))
