"""The account of a simulation: who is where, what that takes, and how both went over time, bucket by bucket."""

from __future__ import annotations

from dataclasses import dataclass

from innkeeper.core.simulate.burden import Burden
from innkeeper.core.simulate.fleet import PLACES, STOPPED

BUCKETS_MAX = 2000
"""More are never kept: then each two become one, so that no span of time fills the memory."""


@dataclass(kw_only=True)
class Bucket:
    """One stretch of time: how many of what happened, and seconds times tenants, or times MB."""

    begins_s: float
    lasts_s: float = 0.0
    requests: int = 0
    refused: int = 0
    cold_starts: int = 0
    tenant_s: list[float]
    """By place; of those that ever had a request."""
    ram_mb_s: float = 0.0
    swap_mb_s: float = 0.0
    ram_least_mb: float
    ram_most_mb: float
    swap_most_mb: float

    def take_in(self, later: Bucket) -> None:
        """Become one with the bucket that follows."""
        self.lasts_s += later.lasts_s
        self.requests += later.requests
        self.refused += later.refused
        self.cold_starts += later.cold_starts
        self.tenant_s = [one + other for one, other in zip(self.tenant_s, later.tenant_s, strict=True)]
        self.ram_mb_s += later.ram_mb_s
        self.swap_mb_s += later.swap_mb_s
        self.ram_least_mb = min(self.ram_least_mb, later.ram_least_mb)
        self.ram_most_mb = max(self.ram_most_mb, later.ram_most_mb)
        self.swap_most_mb = max(self.swap_most_mb, later.swap_most_mb)


class Ledger:
    """Counts tenants by place and adds up what they take; time only goes forward."""

    def __init__(self, burden: Burden, *, zram_mb: float, zram_ratio: float, begins_s: float, every_s: float) -> None:
        self._burden = burden
        self._zram_mb = zram_mb
        self._per_zram_mb = 1 / zram_ratio
        self.counts = [0] * PLACES
        self.every_s = every_s
        self.buckets: list[Bucket] = []
        self.ends_s = begins_s + every_s
        self.ram_mb = 0.0
        self.swap_mb = 0.0
        self._resident_mb = 0.0
        self._now = begins_s
        self._since = [begins_s] * PLACES
        self.open = self._fresh(begins_s)

    def enter(self, tenants: int) -> None:
        """So many more are known from now on; all of them stopped."""
        self._account(STOPPED, self._now)
        self.counts[STOPPED] += tenants

    def move(self, now: float, before: int, after: int) -> None:
        """One tenant goes from one place to another."""
        lapse = now - self._now
        bucket = self.open
        if lapse > 0:
            bucket.ram_mb_s += self.ram_mb * lapse
            bucket.swap_mb_s += self.swap_mb * lapse
            self._now = now
        counts, since, spent = self.counts, self._since, bucket.tenant_s
        spent[before] += counts[before] * (now - since[before])
        spent[after] += counts[after] * (now - since[after])
        since[before] = since[after] = now
        counts[before] -= 1
        counts[after] += 1
        resident, swap = self._burden.resident_mb, self._burden.swap_mb
        self._resident_mb += resident[after] - resident[before]
        self.swap_mb += swap[after] - swap[before]
        self.ram_mb = self._ram(self._resident_mb, self.swap_mb)
        if self.ram_mb > bucket.ram_most_mb:
            bucket.ram_most_mb = self.ram_mb
        elif self.ram_mb < bucket.ram_least_mb:
            bucket.ram_least_mb = self.ram_mb
        if self.swap_mb > bucket.swap_most_mb:
            bucket.swap_most_mb = self.swap_mb

    def ram_after(self, before: int, after: int) -> float:
        """What the memory would be if one tenant went from one place to another."""
        resident, swap = self._burden.resident_mb, self._burden.swap_mb
        return self._ram(
            self._resident_mb + resident[after] - resident[before], self.swap_mb + swap[after] - swap[before]
        )

    def swap_after(self, before: int, after: int) -> float:
        """The same for swap."""
        return self.swap_mb + self._burden.swap_mb[after] - self._burden.swap_mb[before]

    def roll(self, now: float) -> None:
        """Close every bucket that has ended by now."""
        while self.ends_s <= now:
            self._close(self.ends_s)
            self.open = self._fresh(self.ends_s)
            self.ends_s += self.every_s

    def finish(self, now: float) -> list[Bucket]:
        """All buckets, the last of which ends now; one that had no time and no request is none."""
        if now > self.open.begins_s or self.open.requests or not self.buckets:
            self._close(now)
        return self.buckets

    def _close(self, now: float) -> None:
        bucket = self.open
        lapse = now - self._now
        bucket.ram_mb_s += self.ram_mb * lapse
        bucket.swap_mb_s += self.swap_mb * lapse
        self._now = now
        for place in range(PLACES):
            self._account(place, now)
        bucket.lasts_s = now - bucket.begins_s
        self.buckets.append(bucket)
        if len(self.buckets) >= BUCKETS_MAX:
            self._coarsen()
        self._recount()

    def _account(self, place: int, now: float) -> None:
        self.open.tenant_s[place] += self.counts[place] * (now - self._since[place])
        self._since[place] = now

    def _recount(self) -> None:
        """Sums of many small changes drift: they are made anew from the counts."""
        burden = self._burden
        self._resident_mb = sum(n * each for n, each in zip(self.counts, burden.resident_mb, strict=True))
        self.swap_mb = sum(n * each for n, each in zip(self.counts, burden.swap_mb, strict=True))
        self.ram_mb = self._ram(self._resident_mb, self.swap_mb)

    def _ram(self, resident_mb: float, swap_mb: float) -> float:
        in_zram = min(self._zram_mb, swap_mb)
        return resident_mb + in_zram * self._per_zram_mb

    def _coarsen(self) -> None:
        for early, late in zip(self.buckets[::2], self.buckets[1::2], strict=True):
            early.take_in(late)
        self.buckets = self.buckets[::2]
        self.every_s *= 2

    def _fresh(self, begins_s: float) -> Bucket:
        return Bucket(
            begins_s=begins_s,
            tenant_s=[0.0] * PLACES,
            ram_least_mb=self.ram_mb,
            ram_most_mb=self.ram_mb,
            swap_most_mb=self.swap_mb,
        )
