"""A fleet on virtual time: a trace of requests goes through the sleep policy that real tenants live under."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from innkeeper.core.giving_way import GivingWay
from innkeeper.core.simulate.arrivals import Arrivals, arrivals_from
from innkeeper.core.simulate.burden import Burden, burden_of, missing
from innkeeper.core.simulate.house import House, Request, Terms
from innkeeper.core.simulate.ports import AtTheTurnstile, Room, Turnstile
from innkeeper.core.simulate.report import Report, Stretch, report_of
from innkeeper.core.simulate.trace import read_trace

__all__ = [
    "Arrivals",
    "Burden",
    "Report",
    "Request",
    "Run",
    "Stretch",
    "Terms",
    "arrivals_from",
    "burden_of",
    "missing",
    "read_trace",
    "simulate",
]

TELL_EVERY = 20_000
"""So many requests go by between two words about how far it is."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A house to simulate."""

    terms: Terms
    burden: Burden
    cpus: float
    slots: int
    """So many may start at once."""
    every_s: float
    """How long each stretch of the series is."""
    tenants: int = 0
    """How many there are from the beginning; others are known from their first request on."""
    ends_s: float | None = None
    """Until when; None: until the last request."""


def simulate(
    requests: Iterable[Request],
    run: Run,
    *,
    tell: Callable[[float], None] = lambda _now: None,
    turnstile: Turnstile | None = None,
    room: Room | None = None,
) -> Report:
    """Take every request in order, and let time go on until nobody waits; `tell` hears how far the clock is."""
    stream = iter(requests)
    first = next(stream, None)
    begins_s = first[0] if first is not None and run.ends_s is None else 0.0
    house = House(
        run.terms,
        run.burden,
        turnstile=turnstile or AtTheTurnstile(run.slots),
        room=room or GivingWay(run.terms.missing),
        begins_s=begins_s,
        every_s=run.every_s,
    )
    house.grow(run.tenants)
    if first is not None:
        house.take(first)
    for number, request in enumerate(stream):
        house.take(request)
        if not number % TELL_EVERY:
            tell(request[0])
    if run.ends_s is not None:
        house.run_until(run.ends_s)
    house.drain()
    return report_of(house, cpus=run.cpus, cold_cpu_s=run.burden.cold_cpu_s)
