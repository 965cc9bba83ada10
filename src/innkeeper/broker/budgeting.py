"""The till that knows budgets, rates and prices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx2
import structlog

from innkeeper import telemetry
from innkeeper.broker.bills import NO_BILL, Bill
from innkeeper.broker.callers import Caller
from innkeeper.broker.calls import Call, Endpoint
from innkeeper.broker.estimates import Estimate, estimate_of
from innkeeper.broker.metering import Reading
from innkeeper.broker.problems import ProviderAnswerTooLarge, ProviderTimeout
from innkeeper.core.accounts import Reservation
from innkeeper.core.budget_errors import RateLimited
from innkeeper.core.errors import Problem
from innkeeper.core.ledger import Ledger
from innkeeper.core.plans import Allowance, Plans, allowance_of
from innkeeper.core.prices import Priced, PriceTable
from innkeeper.core.rates import RateLimits, whole_seconds
from innkeeper.core.usage import MICRO, Counts
from innkeeper.core.uses import Uses

_log = structlog.get_logger(__name__)

_MODELS_LOGGED = 1000
_NEVER_SENT = (httpx2.ConnectTimeout, httpx2.WriteTimeout)


class BudgetTill:
    """Refuses what is over a tenant's rate or budget, and charges what calls used."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        prices: PriceTable,
        plans: Plans,
        uses: Callable[[Caller], Uses],
        rates: RateLimits | None = None,
    ) -> None:
        self._ledger = ledger
        self._prices = prices
        self._plans = plans
        self._uses = uses
        self._rates = RateLimits() if rates is None else rates
        self._unknown: set[str] = set()

    @asynccontextmanager
    async def open(self, call: Call, reading: Reading, *, provider: str, model: str) -> AsyncIterator[Bill]:
        """Count the call, set aside what it may cost, and see to it that it is settled or released."""
        with _counted():
            allowance = self._knock(call.caller)
            if call.endpoint is Endpoint.COUNT_TOKENS:
                bill = None
            else:
                bill = await self._bill(call, reading, allowance, provider, model)
        if bill is None:
            yield NO_BILL
            return
        try:
            yield bill
        except (asyncio.CancelledError, ProviderAnswerTooLarge, ProviderTimeout) as end:
            # Whoever hangs up before the answer, or asks for too much, has had it begun all the same.
            if not isinstance(end.__cause__, _NEVER_SENT):
                bill.settle()
            raise
        finally:
            bill.close()

    def knock(self, caller: Caller) -> None:
        """Count a call that has no price towards the tenant's rate."""
        with _counted():
            self._knock(caller)

    def _knock(self, caller: Caller) -> Allowance:
        allowance = allowance_of(self._uses(caller), self._plans)
        per_minute = allowance.calls_per_minute
        if per_minute is not None and (wait_s := self._rates.take(caller.tenant_id, per_minute)):
            raise RateLimited(f"There are more than {per_minute} calls a minute.", wait_s=whole_seconds(wait_s))
        return allowance

    async def _bill(self, call: Call, reading: Reading, allowance: Allowance, provider: str, model: str) -> _CallsBill:
        priced = self._priced(provider, model)
        estimate = estimate_of(call)
        reservation = await self._ledger.reserve(
            call.caller.tenant,
            call.caller.tenant_id,
            allowance.budget,
            priced.price,
            input_tokens=estimate.input_tokens,
            output_tokens=estimate.output_tokens,
            heard=lambda: reading.heard_tokens,
        )
        return _CallsBill(self._ledger, reservation, reading, estimate, priced, provider=provider, model=model)

    def _priced(self, provider: str, model: str) -> Priced:
        priced = self._prices.of(model)
        if not priced.known:
            telemetry.broker_unpriced.labels(provider=provider).inc()
            if model not in self._unknown and len(self._unknown) < _MODELS_LOGGED:
                self._unknown.add(model)
                _log.warning("model without a price", model=model[:120], provider=provider, rule=self._prices.rule)
        return priced


class _CallsBill:
    """One call's bill."""

    def __init__(
        self,
        ledger: Ledger,
        reservation: Reservation,
        reading: Reading,
        estimate: Estimate,
        priced: Priced,
        *,
        provider: str,
        model: str,
    ) -> None:
        self._ledger = ledger
        self._reservation = reservation
        self._reading = reading
        self._estimate = estimate
        self._priced = priced
        self._provider = provider
        self._model = model
        self._open = True

    def settle(self) -> None:
        """Charge what the reading says, and of what it doesn't say an estimate."""
        if not self._open:
            return
        self._open = False
        tokens, told = self._reading.used(self._estimate.input_tokens, answers=self._estimate.output_tokens > 0)
        if self._reading.odd:
            telemetry.broker_odd_usage.labels(provider=self._provider).inc()
            _log.warning("usage that can't be", provider=self._provider, model=self._model[:120])
        micro_usd = self._priced.price.of(tokens)
        counts = Counts(
            calls=1, unmeasured=not told, unpriced=not self._priced.known, tokens=tokens, micro_usd=micro_usd
        )
        self._ledger.settle(self._reservation, counts, provider=self._provider, model=self._model)
        telemetry.broker_usd.labels(provider=self._provider).inc(micro_usd / MICRO)

    def close(self) -> None:
        """Release what was set aside, unless it is settled."""
        if self._open:
            self._open = False
            self._ledger.release(self._reservation)


@contextmanager
def _counted() -> Iterator[None]:
    try:
        yield
    except Problem as problem:
        telemetry.broker_refusals.labels(code=problem.code).inc()
        raise
