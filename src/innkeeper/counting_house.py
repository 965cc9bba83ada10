"""The part of the composition root that counts what is used: prices, plans, the ledger and the till."""

from __future__ import annotations

from datetime import timedelta

import structlog

from innkeeper.broker.budgeting import BudgetTill
from innkeeper.broker.callers import Caller
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus
from innkeeper.core.ledger import Ledger
from innkeeper.core.plans import Plans, models_of, plans_from
from innkeeper.core.ports import Clock, Store
from innkeeper.core.prices import PriceTable, read_prices
from innkeeper.core.usage import day_of
from innkeeper.loops.supervise import Supervisor, every
from innkeeper.settings import Settings

log = structlog.get_logger("innkeeper.usage")

FORGET_EVERY_S = 3600.0


class CountingHouse:
    """What tenants may use, and what they have used."""

    def __init__(self, settings: Settings, *, store: Store, bus: Bus, clock: Clock) -> None:
        self.prices: PriceTable = read_prices(settings.prices)
        self.plans: Plans = plans_from(settings.plans)
        self.ledger = Ledger(store=store, bus=bus, clock=clock)
        self.till = BudgetTill(
            ledger=self.ledger, prices=self.prices, plans=self.plans, uses=lambda caller: caller.uses
        )
        self._store = store
        self._clock = clock
        self._kept = timedelta(days=settings.usage_kept_days)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loops to the supervisor."""
        supervisor.add("usage", self.ledger.keep_writing)
        supervisor.add("usage-forget", lambda: every(FORGET_EVERY_S, self.forget))

    async def close(self) -> None:
        """Write down what isn't yet."""
        try:
            await self.ledger.write()
        except Problem as problem:
            log.warning("usage isn't written", code=problem.code, problem=problem.message)

    async def forget(self) -> None:
        """Drop what has been kept for long enough."""
        try:
            async with self._store.begin() as tx:
                dropped = await tx.usage.forget(before=day_of(self._clock.now() - self._kept))
        except Problem as problem:  # the next round is the retry
            log.warning("usage isn't forgotten", code=problem.code, problem=problem.message)
        else:
            if dropped:
                log.info("usage forgotten", lines=dropped)

    def models(self, caller: Caller) -> tuple[str, ...]:
        """Patterns of the models that the tenant may ask for, by itself or its plan; none: all."""
        return models_of(caller.uses, self.plans)
