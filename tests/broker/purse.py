"""A till with real books in memory, and what tests want to know of it."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2

from innkeeper.broker.anthropic import Anthropic
from innkeeper.broker.bills import Till
from innkeeper.broker.budgeting import BudgetTill
from innkeeper.broker.callers import Caller
from innkeeper.broker.outbound import PATIENT
from innkeeper.core.audit import Entry
from innkeeper.core.events import Bus, Event
from innkeeper.core.ledger import Ledger
from innkeeper.core.plans import plans_from
from innkeeper.core.prices import price_table
from innkeeper.core.rates import RateLimits
from innkeeper.core.usage import Counts, UsageSought
from innkeeper.core.uses import NO_USES, Uses
from innkeeper.core.uses_reading import uses_of
from innkeeper.store.memory import MemoryStore
from tests.broker.house import House, house_with, upstream_to
from tests.store.examples import tenant
from tests.support.house import TurnedClock
from tests.support.links import LINKS

PRICES = """
source = "a test"
date = 2026-11-20
[[prices]]
models = ["real-*", "claude-*", "priced"]
input = 100
output = 1000
cache_read = 10
cache_write = 200
"""


class Purse:
    """Everybody's money."""

    def __init__(self, prices: str = PRICES, plans: dict[str, dict[str, Any]] | None = None) -> None:
        self.clock = TurnedClock()
        self.store = MemoryStore(self.clock, links=LINKS)
        self.happened: list[Event] = []
        self.uses: dict[str, Uses] = {}
        self.asked = 0
        """How many calls came as far as the till."""
        self.prices = price_table(tomllib.loads(prices))
        self.plans = plans_from(plans or {})
        self.start()

    def start(self) -> None:
        """A new process: nothing is left of what the last one had in memory."""
        bus = Bus()
        bus.on_event(self.happened.append)
        self.ledger = Ledger(store=self.store, bus=bus, clock=self.clock, seconds=self.clock.seconds)
        self.till = BudgetTill(
            ledger=self.ledger,
            prices=self.prices,
            plans=self.plans,
            uses=self._uses,
            rates=RateLimits(seconds=self.clock.seconds),
        )

    async def move_in(self) -> None:
        """There are alice and bob."""
        async with self.store.begin() as tx:
            for slot, name in enumerate(("alice", "bob")):
                await tx.add_tenant(replace(tenant(name, slot), id=f"id-{name}"))

    def may(self, name: str, **said: Any) -> None:
        """What a tenant may use from now on."""
        self.uses[name] = uses_of(said)

    async def used(self, name: str = "alice") -> Counts:
        """All that a tenant has used, once it is written down."""
        await self.ledger.write()
        async with self.store.look() as tx:
            rows = await tx.usage.page(UsageSought(tenant=name))
        return sum((row.counts for row in rows), start=Counts())

    async def trail(self) -> list[Entry]:
        """What the trail says, once it is written down."""
        await self.ledger.write()
        async with self.store.look() as tx:
            return [line for _, line in await tx.trail()]

    def _uses(self, caller: Caller) -> Uses:
        self.asked += 1
        return self.uses.get(caller.tenant, NO_USES)


@asynccontextmanager
async def paid_house(url: str, till: Till, timeout: httpx2.Timeout = PATIENT) -> AsyncIterator[House]:
    """A broker with that till, in front of a server that speaks both protocols."""
    anthropic = Anthropic(base_url=url)
    async with (
        upstream_to(anthropic, model="claude-1", timeout=timeout) as upstream,
        house_with(upstream, till=till) as house,
    ):
        yield house
