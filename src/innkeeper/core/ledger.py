"""What tenants have used and what their calls under way may use yet: reserved before a call, settled after it.

The books are the store's; here is what isn't written there yet, and what the store said last. A call begins while less
than the limit is used and reserved, so of all that are under way together only the last to begin can pass it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from innkeeper.core.access import SYSTEM
from innkeeper.core.accounts import NOTHING, Account, Reservation
from innkeeper.core.audit import Entry, entry
from innkeeper.core.budget_errors import BudgetReserved, BudgetSpent
from innkeeper.core.budgets import Limit, Standing, ends_in_s, limits_of
from innkeeper.core.errors import Problem, StoreUnavailable
from innkeeper.core.events import BudgetUsedUp, BudgetWarned, Bus
from innkeeper.core.ports import Clock, Store, Transaction
from innkeeper.core.ports.usage import Sums
from innkeeper.core.prices import Price
from innkeeper.core.trail import Sought
from innkeeper.core.usage import Counts, UsageRow, day_of, model_name, summed
from innkeeper.core.uses import Budget

STOPPED = "budget.stop"
"""The trail's word for a budget that began to stop calls."""
BATCH_EVERY_S = 0.25
"""So much of what was settled can be lost with the control plane, beside the calls that are under way."""
RETRY_AFTER_S = 2.0
REREAD_AFTER_S = 15.0
"""What other control planes wrote is known after so long at most."""
BUSY_FOR_S = 60.0
IDLE_AFTER_S = 3600.0


class Ledger:
    """The accounts of all tenants that called lately."""

    def __init__(self, *, store: Store, bus: Bus, clock: Clock, seconds: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._seconds = seconds
        self._accounts: dict[str, Account] = {}
        self._stops: list[Entry] = []
        self._noted = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def open_accounts(self) -> int:
        """How many tenants' accounts are kept in memory."""
        return len(self._accounts)

    # --- calls --------------------------------------------------------------------------------------------------------

    async def reserve(
        self,
        tenant: str,
        tenant_id: str,
        budget: Budget,
        price: Price,
        *,
        input_tokens: int,
        output_tokens: int,
        heard: Callable[[], int] = lambda: 0,
    ) -> Reservation:
        """Let a call begin, or raise BudgetSpent or BudgetReserved; StoreUnavailable where nobody knows what was used.

        Every reservation is settled or released in the end.
        """
        account = self._account(tenant, tenant_id)
        limits = list(limits_of(budget))
        if limits:
            await self._know(account, limits)
            self._check(account, limits)
        reservation = Reservation(
            account=account,
            budget=budget,
            price=price,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            heard=heard,
        )
        account.under_way.add(reservation)
        return reservation

    def release(self, reservation: Reservation) -> None:
        """The call used nothing."""
        reservation.account.under_way.discard(reservation)

    def settle(self, reservation: Reservation, counts: Counts, *, provider: str, model: str) -> None:
        """The call has ended, and this is what it used; it counts for the day on which it ended."""
        account = reservation.account
        account.under_way.discard(reservation)
        day = day_of(self._clock.now())
        key = account.key(day, provider, model_name(model))
        account.unwritten = summed(account.unwritten, {key: UsageRow(key=key, tenant=account.tenant, counts=counts)})
        account.used_at_s = self._seconds()
        self._noted.set()
        for standing in account.standings(limits_of(reservation.budget), day):
            for kind, holds in ((BudgetWarned, standing.warns), (BudgetUsedUp, standing.spent)):
                if holds and account.is_news(standing.limit, day, kind.kind):
                    self._bus.publish(kind(tenant=account.tenant, **standing.told(day)))

    async def standings(self, tenant: str, tenant_id: str, budget: Budget) -> Sequence[Standing]:
        """How a tenant stands with each limit of its budget; raises StoreUnavailable."""
        account = self._account(tenant, tenant_id)
        limits = list(limits_of(budget))
        await self._know(account, limits)
        await self._read([account])
        return list(account.standings(limits, day_of(self._clock.now())))

    # --- writing and reading ------------------------------------------------------------------------------------------

    async def write(self) -> None:
        """Write down what isn't yet; where the store doesn't answer, that is raised and all is kept."""
        async with self._turn:
            busy = [account for account in self._accounts.values() if account.unwritten]
            stops, self._stops = self._stops, []
            if not busy and not stops:
                return
            for account in busy:
                account.writing, account.unwritten = account.unwritten, {}
            day = day_of(self._clock.now())
            try:
                async with self._store.begin() as tx:
                    await tx.usage.add([row for account in busy for row in account.writing.values()])
                    sums = await tx.usage.sums({account.tenant_id for account in busy}, day)
                    for line in stops:
                        await _write_stop(tx, line)
            except BaseException:
                for account in busy:
                    account.unwritten, account.writing = summed(account.writing, account.unwritten), {}
                self._stops = stops + self._stops
                raise
            for account in busy:
                account.writing = {}
                self._take(account, sums.get(account.tenant_id, NOTHING), day)

    async def keep_writing(self) -> None:
        """For ever: write in small batches, read anew what others write, and forget who calls no more."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REREAD_AFTER_S):
                    await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(BATCH_EVERY_S)
            try:
                await self._whole(self.write())
                await self.reread()
            except Problem:  # all is kept, and the next round is the retry
                self._noted.set()
                await asyncio.sleep(RETRY_AFTER_S)
            self.forget_idle()

    async def reread(self) -> None:
        """Read anew what is known of tenants that called within the last minute."""
        now = self._seconds()
        busy = [
            account
            for account in self._accounts.values()
            if account.day and now - account.used_at_s < BUSY_FOR_S and now - account.read_at_s >= REREAD_AFTER_S
        ]
        if busy:
            await self._read(busy)

    def forget_idle(self) -> None:
        """Keep no account that nobody uses: what it holds stands in the store."""
        long_ago = self._seconds() - IDLE_AFTER_S
        for tenant_id, account in list(self._accounts.items()):
            in_use = account.under_way or account.unwritten or account.writing
            if not in_use and account.used_at_s < long_ago:
                del self._accounts[tenant_id]

    async def _whole(self, writing: object) -> None:
        """See a write through though somebody cancels it: half-known commits would be counted twice."""
        task = asyncio.ensure_future(writing)  # type: ignore[call-overload]
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            with suppress(Problem):
                await task
            raise

    async def _know(self, account: Account, limits: Iterable[Limit]) -> None:
        day = day_of(self._clock.now())
        if account.day == day and self._seconds() - account.read_at_s < BUSY_FOR_S + REREAD_AFTER_S:
            return
        fresh = not account.day
        try:
            await self._read([account])
        except StoreUnavailable:
            if account.day != day:
                raise
            account.read_at_s = self._seconds()  # what is known of today will do for a while
        account.told = {each for each in account.told if day.startswith(each[1])}
        if fresh:  # what was passed before this process began was told then
            for standing in account.standings(limits, day):
                for kind, holds in ((BudgetWarned, standing.warns), (BudgetUsedUp, standing.spent)):
                    if holds:
                        account.is_news(standing.limit, day, kind.kind)

    async def _read(self, accounts: Sequence[Account]) -> None:
        async with self._turn:  # what is being written is in the sums, or it isn't
            day = day_of(self._clock.now())
            async with self._store.look() as tx:
                sums = await tx.usage.sums({account.tenant_id for account in accounts}, day)
            for account in accounts:
                self._take(account, sums.get(account.tenant_id, NOTHING), day)

    def _take(self, account: Account, sums: Sums, day: str) -> None:
        account.stored, account.day, account.read_at_s = sums, day, self._seconds()

    # --- judging ------------------------------------------------------------------------------------------------------

    def _account(self, tenant: str, tenant_id: str) -> Account:
        account = self._accounts.get(tenant_id)
        if account is None:
            account = self._accounts[tenant_id] = Account(tenant=tenant, tenant_id=tenant_id)
        account.used_at_s = self._seconds()
        return account

    def _check(self, account: Account, limits: Iterable[Limit]) -> None:
        now = self._clock.now()
        standings = list(account.standings(limits, day_of(now)))
        for standing in standings:
            if standing.spent:
                self._stop(account, standing, now)
                raise BudgetSpent(
                    f"{standing.in_words}; nothing is left.", until_s=ends_in_s(standing.limit.window, now)
                )
        for standing in standings:
            if standing.full:
                raise BudgetReserved(f"{standing.in_words}, and the rest is reserved for calls that are under way.")

    def _stop(self, account: Account, standing: Standing, now: datetime) -> None:
        """Have it stand in the trail, once for each limit and period."""
        day = day_of(now)
        if account.is_news(standing.limit, day, STOPPED):
            told = standing.told(day)
            line = entry(SYSTEM, STOPPED, at=now, tenant=account.tenant, tenant_id=account.tenant_id, detail=told)
            self._stops.append(line)
            self._noted.set()


def _detail(text: str | None) -> dict[str, object]:
    """What a line of the trail tells; nothing where somebody made something else of it."""
    with suppress(ValueError):
        detail = json.loads(text or "")
        if isinstance(detail, dict):
            return detail
    return {}


async def _write_stop(tx: Transaction, line: Entry) -> None:
    """Unless it stands there already: this process may be new, and there may be others."""
    sought = Sought(tenant_id=line.tenant_id, action=STOPPED)
    for before in await tx.chain.lines(sought, limit=20, newest_first=True):
        detail = _detail(before["detail"])
        if all(detail.get(name) == line.detail[name] for name in ("limit", "period", "most")):
            return
    await tx.audit(line)
