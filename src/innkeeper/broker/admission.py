"""Which calls go on: the one place that lets a call pass or refuses it, and knows what is under way."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from innkeeper.broker.callers import Caller
from innkeeper.broker.exchange import BODY_LIMIT
from innkeeper.broker.problems import TooManyCalls

CALLS_LIMIT = 128
BYTES_LIMIT = 8 * BODY_LIMIT
"""Per tenant: one tenant's bodies can't fill the memory that all share."""


@dataclass
class _UnderWay:
    calls: int = 0
    size_bytes: int = 0


class Admission:
    """Counts each tenant's calls in flight, and bounds them."""

    def __init__(self) -> None:
        self._under_way: dict[str, _UnderWay] = {}

    def in_flight(self, tenant: str) -> int:
        """How many calls of the tenant are under way."""
        under_way = self._under_way.get(tenant)
        return under_way.calls if under_way else 0

    @property
    def tenants(self) -> Collection[str]:
        """Who has a call under way."""
        return self._under_way.keys()

    @property
    def in_flight_in_all(self) -> int:
        """How many calls are under way, whoever makes them."""
        return sum(under_way.calls for under_way in self._under_way.values())

    @contextmanager
    def enter(self, caller: Caller, size_bytes: int | None) -> Iterator[None]:
        """Count a call from before its body is read until its answer has ended, or TooManyCalls.

        A body of unknown size counts as the largest that is allowed.
        """
        size_bytes = BODY_LIMIT if size_bytes is None else min(size_bytes, BODY_LIMIT)
        under_way = self._under_way.setdefault(caller.tenant, _UnderWay())
        if under_way.calls >= CALLS_LIMIT or under_way.size_bytes + size_bytes > BYTES_LIMIT:
            raise TooManyCalls("Too many model calls of this tenant are under way at once.")
        under_way.calls += 1
        under_way.size_bytes += size_bytes
        try:
            yield
        finally:
            under_way.calls -= 1
            under_way.size_bytes -= size_bytes
            if not under_way.calls:
                del self._under_way[caller.tenant]
