"""Tenants that idle, in the order of their last use; and what each of them frees by going further down."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

from innkeeper.core.chronicle import MB
from innkeeper.core.instance import Usage
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import MemoryNow
from innkeeper.core.tenant import Tenant

SWAP_WANTED_MB = 64.0
"""With less of it free nobody is sent there."""


@dataclass(frozen=True, kw_only=True)
class Yielding:
    """One that gives way: where to, and what that frees."""

    name: str
    rung: Rung
    frees_mb: float
    takes_swap_mb: float = 0.0


def yields(name: str, rung: Rung, usage: Usage, host: MemoryNow) -> Yielding:
    """What it frees by going there: to swap what isn't taken there again, compressed; else all that it has."""
    resident_mb, swapped_mb = usage.rss_bytes / MB, usage.swap_bytes / MB
    if rung is Rung.PAGED:
        takes_mb = host.compressed_mb(resident_mb) or 0
        return Yielding(name=name, rung=rung, frees_mb=resident_mb - takes_mb, takes_swap_mb=resident_mb)
    return Yielding(name=name, rung=rung, frees_mb=resident_mb + (host.compressed_mb(swapped_mb) or 0))


@dataclass
class IdleGuests:
    """Who idles where: `core/giving_way.py` chooses among them."""

    swap_free_mb: float
    _by_rung: dict[Rung, list[tuple[datetime, str, Tenant]]] = field(default_factory=dict)

    def add(self, tenant: Tenant, rung: Rung, quiet_since: datetime) -> None:
        """It idles there since then."""
        heappush(self._by_rung.setdefault(rung, []), (quiet_since, tenant.name, tenant))

    def oldest(self, rung: Rung) -> Tenant | None:
        """Who has been idle for longest on that rung."""
        idle = self._by_rung.get(rung)
        return idle[0][2] if idle else None

    def take(self, rung: Rung) -> Tenant:
        """The same, who doesn't idle there any more."""
        return heappop(self._by_rung[rung])[2]

    def can_page(self) -> bool:
        """Whether swap has room for one more."""
        return self.swap_free_mb >= SWAP_WANTED_MB
