"""What a simulation came to, for people and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from innkeeper.core.ladder import Rung
from innkeeper.core.simulate import fleet as at
from innkeeper.core.simulate.house import House
from innkeeper.core.simulate.ledger import Bucket
from innkeeper.core.simulate.waits import Spread

PLACES_OF: Mapping[str, tuple[int, ...]] = {
    "running": (at.UP, at.BACK),
    "starting": (at.STARTING,),
    "queued": (at.QUEUED,),
    "paused": (at.PAUSED, at.PAUSED_BACK),
    "paged": (at.PAGED,),
    "saved": (at.SAVED,),
    "stopped": (at.STOPPED,),
}
"""Each place under one name: nobody is counted twice."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A stretch of time; megabytes and tenants are means over it where nothing else is said."""

    begins_s: float
    lasts_s: float
    requests: int
    refused: int
    cold_starts: int
    cpu_share: float
    """Of all processors, what cold starts kept busy; more than 1 means that they take longer than was reckoned with."""
    ram_mb: float
    ram_least_mb: float
    ram_most_mb: float
    swap_mb: float
    swap_most_mb: float
    tenants: Mapping[str, float]
    """By where they were; of those that had had a request, or of all where their number is known."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that came of it."""

    tenants: int
    requests: int
    answered: int
    """At once or after a wait."""
    waited: int
    refused: int
    """There was no room, and nobody who could have made some."""
    over_deadline: int
    """Of those that waited: longer than a request is held, so that the client got a 503 and had to ask again."""
    waits: Mapping[str, Spread]
    """Of requests, by the rung that the tenant woke from; `running` where it was up."""
    queue: Spread
    """Of starts, for their turn."""
    wakes: Mapping[str, int]
    """By the rung that they woke from."""
    evictions: Mapping[str, int]
    """By the rung that somebody had to go to so that another could come up."""
    whole: Stretch
    series: tuple[Stretch, ...]
    every_s: float
    """How long each stretch is, the last apart; longer than asked for where there would have been too many."""
    events: int
    """How much there was to do."""


def report_of(house: House, *, cpus: float, cold_cpu_s: float) -> Report:
    """Close the books of a house whose last request has been taken."""
    buckets = house.ledger.finish(house.now)
    series = tuple(_stretch(bucket, cpus=cpus, cold_cpu_s=cold_cpu_s) for bucket in buckets)
    whole = _stretch(_sum(buckets), cpus=cpus, cold_cpu_s=cold_cpu_s)
    spreads = {str(rung): waits.spread() for rung, waits in house.waits.items()}
    answered = sum(spread.number for spread in spreads.values())
    at_once = house.waits[Rung.RUNNING].number_at(0.0)
    return Report(
        tenants=len(house.fleet),
        requests=whole.requests,
        answered=answered,
        waited=answered - at_once,
        refused=whole.refused,
        over_deadline=sum(waits.too_long for waits in house.waits.values()),
        waits={rung: spread for rung, spread in spreads.items() if spread.number},
        queue=house.queued.spread(),
        wakes={str(rung): number for rung, number in house.wakes.items() if number},
        evictions={str(rung): number for rung, number in house.evictions.items() if number},
        whole=whole,
        series=series,
        every_s=house.ledger.every_s,
        events=house.events,
    )


def _sum(buckets: list[Bucket]) -> Bucket:
    first = buckets[0]
    whole = Bucket(
        begins_s=first.begins_s,
        tenant_s=[0.0] * at.PLACES,
        ram_least_mb=first.ram_least_mb,
        ram_most_mb=first.ram_most_mb,
        swap_most_mb=first.swap_most_mb,
    )
    for bucket in buckets:
        whole.take_in(bucket)
    return whole


def _stretch(bucket: Bucket, *, cpus: float, cold_cpu_s: float) -> Stretch:
    lasts_s = bucket.lasts_s or 1.0  # nothing took any time: the means are of nothing, too
    return Stretch(
        begins_s=bucket.begins_s,
        lasts_s=bucket.lasts_s,
        requests=bucket.requests,
        refused=bucket.refused,
        cold_starts=bucket.cold_starts,
        cpu_share=bucket.cold_starts * cold_cpu_s / (cpus * lasts_s),
        ram_mb=bucket.ram_mb_s / lasts_s,
        ram_least_mb=bucket.ram_least_mb,
        ram_most_mb=bucket.ram_most_mb,
        swap_mb=bucket.swap_mb_s / lasts_s,
        swap_most_mb=bucket.swap_most_mb,
        tenants={name: sum(bucket.tenant_s[place] for place in places) / lasts_s for name, places in PLACES_OF.items()},
    )
