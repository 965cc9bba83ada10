"""What two of the systems that Innkeeper follows say of their capacity, to be shown beside what is measured here.

Nothing here is used in any reckoning: these are claims, and nobody has said how they were come by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from innkeeper.core.capacity import Demand, Row, table
from innkeeper.core.costs import Costs
from innkeeper.core.hosts import Host, Resize, resized
from innkeeper.core.ladder import Rung


@dataclass(frozen=True, kw_only=True)
class HostClaim:
    """So many tenants on a host of that size."""

    by: str
    agent: str
    """What their tenants run."""
    memory_mb: int
    always_on: int
    with_sleep: tuple[int, int]
    """With 10 to 20 % of them active at a time."""


@dataclass(frozen=True, kw_only=True)
class MemoryClaim:
    """So much memory for that many tenants, all awake."""

    by: str
    agent: str
    tenants: int
    memory_mb: int


HOST_CLAIMS = tuple(
    HostClaim(by="OCMT", agent="openclaw", memory_mb=memory_mb, always_on=always_on, with_sleep=with_sleep)
    for memory_mb, always_on, with_sleep in (
        (4096, 8, (50, 100)),
        (8192, 16, (100, 200)),
        (16384, 32, (200, 400)),
    )
)

MEMORY_CLAIMS = tuple(
    MemoryClaim(by="ZeptoClaw", agent="zeptoclaw", tenants=tenants, memory_mb=memory_mb)
    for tenants, memory_mb in ((10, 60), (100, 600), (500, 3072), (1000, 6144))
)


def beside(claim: HostClaim, costs: Costs, host: Host, rungs: Sequence[Rung], demand: Demand) -> list[Row]:
    """What fits on a host of the claim's size, everything else as on this one."""
    return table(costs, resized(host, Resize(memory_mb=claim.memory_mb)), rungs, demand)


def memory_beside(claim: MemoryClaim, costs: Costs) -> float | None:
    """What the claim's number of tenants takes here, all awake; None: not measured."""
    if costs.awake_mb.mean is None:
        return None
    return claim.tenants * (costs.awake_mb.mean + (costs.keeper_mb.mean or 0.0))
