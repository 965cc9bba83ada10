"""The books: days and months turn, crashes lose little, several at once agree, and nothing is told twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.accounts import LINES_MAX, OTHERS, Reservation
from innkeeper.core.audit import Entry
from innkeeper.core.budget_errors import BudgetReserved, BudgetSpent
from innkeeper.core.errors import StoreUnavailable
from innkeeper.core.events import BudgetUsedUp, BudgetWarned, Bus, Event
from innkeeper.core.ledger import BUSY_FOR_S, IDLE_AFTER_S, REREAD_AFTER_S, Ledger
from innkeeper.core.ports import Store
from innkeeper.core.prices import Price
from innkeeper.core.usage import Amount, Counts, Tokens, UsageRow, UsageSought
from innkeeper.core.uses import Budget
from tests.store.databases import DRIVERS, opened
from tests.store.examples import issuing, tenant
from tests.support.house import TurnedClock

PRICE = Price(input=1_000_000, output=1_000_000, cache_read=0, cache_write=0)
DAILY = Budget(day_tokens=1000)
DAY_S = 86400


class Books:
    """A store that outlives its control planes, and the ledgers of those."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = TurnedClock()
        self.happened: list[Event] = []
        self.ledger = self.plane()

    def plane(self) -> Ledger:
        """Another control plane, or the same one after a crash."""
        bus = Bus()
        bus.on_event(self.happened.append)
        return Ledger(store=self.store, bus=bus, clock=self.clock, seconds=self.clock.seconds)

    async def begin(
        self, budget: Budget = DAILY, *, tokens: int = 100, name: str = "a", ledger: Ledger | None = None
    ) -> Reservation:
        ledger = ledger or self.ledger
        return await ledger.reserve(name, f"t_{name}", budget, PRICE, input_tokens=tokens, output_tokens=0)

    async def use(
        self, tokens: int, budget: Budget = DAILY, *, name: str = "a", model: str = "m", ledger: Ledger | None = None
    ) -> None:
        """One call from its beginning to its end."""
        reservation = await self.begin(budget, name=name, ledger=ledger)
        self.end(reservation, tokens, model=model, ledger=ledger)

    def end(self, reservation: Reservation, tokens: int, *, model: str = "m", ledger: Ledger | None = None) -> None:
        counts = Counts(calls=1, tokens=Tokens(input=tokens), micro_usd=tokens)
        (ledger or self.ledger).settle(reservation, counts, provider="p", model=model)

    async def stands(self, budget: Budget = DAILY, *, ledger: Ledger | None = None) -> Mapping[str, Amount]:
        """Used and reserved by limit."""
        standings = await (ledger or self.ledger).standings("a", "t_a", budget)
        return {each.limit.name: Amount(each.used, each.reserved) for each in standings}

    async def rows(self) -> list[UsageRow]:
        async with self.store.look() as tx:
            return list(await tx.usage.page(UsageSought()))

    async def trail(self) -> list[Entry]:
        async with self.store.look() as tx:
            return [line for _, line in await tx.trail()]


@pytest.fixture(params=DRIVERS)
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Books]:
    async with opened(request.param, tmp_path) as store:
        async with store.begin() as tx:
            await tx.add_tenant(tenant("a", 0))
            await tx.add_tenant(tenant("b", 1))
        yield Books(store)


class Away:
    """A store that doesn't answer when it is told not to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def begin(self, *, synced: bool = False) -> AsyncIterator[Any]:
        async with self._store.begin(synced=synced) as tx:
            yield tx
            self._check()

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Any]:
        self._check()
        async with self._store.look() as tx:
            yield tx

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("The database is away.")


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_a_call_begins_while_something_is_left_and_not_after(books: Books) -> None:
    await books.use(999)
    await books.use(500)
    with pytest.raises(BudgetSpent) as refused:
        await books.begin()
    assert "1000 tokens a day, 1499 tokens are used" in refused.value.message
    assert refused.value.retry_after_s == DAY_S // 2


async def test_every_limit_counts(books: Books) -> None:
    for budget in (Budget(day_tokens=10), Budget(month_tokens=10), Budget(day_usd=0.00001), Budget(month_usd=0.00001)):
        name = "a"
        await books.use(10, Budget(day_tokens=10**9), name=name)
        with pytest.raises(BudgetSpent):
            await books.begin(budget, name=name)
        await books.begin(Budget(day_tokens=10**9, month_usd=10**6), name=name)
        await books.begin(Budget(), name=name)


async def test_what_is_reserved_is_free_again_after_the_call(books: Books) -> None:
    first = await books.begin(tokens=1000)
    with pytest.raises(BudgetReserved):
        await books.begin()
    books.end(first, 10)
    second = await books.begin(tokens=5000)
    books.ledger.release(second)
    assert await books.stands() == {"day_tokens": Amount(10, 0)}
    books.ledger.release(second)
    assert await books.stands() == {"day_tokens": Amount(10, 0)}, "twice is once"


async def test_many_at_once_pass_a_limit_by_less_than_one_reservation(books: Books) -> None:
    async def attempt() -> Reservation | None:
        with suppress(BudgetReserved):
            return await books.begin(tokens=300)
        return None

    begun = [each for each in await asyncio.gather(*(attempt() for _ in range(50))) if each]
    assert len(begun) == 4, "three leave a tenth of it"


# --- the calendar -----------------------------------------------------------------------------------------------------


async def test_a_new_day_begins_at_midnight_utc_and_a_month_goes_on(books: Books) -> None:
    both = Budget(day_tokens=1000, month_tokens=1500)
    await books.use(1000, both)
    books.clock.turn(DAY_S / 2 - 1)
    with pytest.raises(BudgetSpent):
        await books.begin(both)
    books.clock.turn(1)
    await books.use(600, both)
    with pytest.raises(BudgetSpent, match="a month"):
        await books.begin(both)
    books.clock.time = datetime(2026, 12, 1, tzinfo=UTC)
    await books.use(1, both)
    assert await books.stands(both) == {"day_tokens": Amount(1, 0), "month_tokens": Amount(1, 0)}


async def test_a_call_over_midnight_counts_where_it_ends(books: Books) -> None:
    call = await books.begin()
    books.clock.turn(DAY_S)
    books.end(call, 700)
    assert await books.stands() == {"day_tokens": Amount(700, 0)}
    await books.ledger.write()
    assert [row.key.period for row in await books.rows()] == ["2026-11-21"]


async def test_a_clock_that_is_set_back_gives_nothing_back(books: Books) -> None:
    await books.use(1000)
    books.clock.turn(DAY_S)
    await books.use(10)
    books.clock.turn(-DAY_S)
    with pytest.raises(BudgetSpent):
        await books.begin()


# --- crashes and others -----------------------------------------------------------------------------------------------


async def test_what_was_written_survives_a_crash(books: Books) -> None:
    await books.use(800)
    await books.ledger.write()
    await books.use(150)
    await books.begin(tokens=50)
    after = books.plane()
    assert await books.stands(ledger=after) == {"day_tokens": Amount(800, 0)}, "only the last moment is lost"
    await books.use(200, ledger=after)
    with pytest.raises(BudgetSpent):
        await books.begin(ledger=after)


async def test_the_loop_writes_by_itself(books: Books) -> None:
    writing = asyncio.create_task(books.ledger.keep_writing())
    await books.use(5)
    async with asyncio.timeout(20):
        while not await books.rows():
            await asyncio.sleep(0.01)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert (await books.rows())[0].counts.tokens == Tokens(input=5)


async def test_written_once_however_often_it_is_asked_for(books: Books) -> None:
    await books.use(5)
    await asyncio.gather(*(books.ledger.write() for _ in range(5)))
    await books.use(6)
    await asyncio.gather(*(books.ledger.write() for _ in range(5)), *(books.stands() for _ in range(5)))
    [row] = await books.rows()
    assert row.counts == Counts(calls=2, tokens=Tokens(input=11), micro_usd=11)
    assert await books.stands() == {"day_tokens": Amount(11, 0)}


async def test_a_store_that_is_away_loses_nothing_and_gives_nothing(books: Books) -> None:
    store = Away(books.store)
    books.store = store
    books.ledger = books.plane()
    await books.use(400)
    store.away = True
    with pytest.raises(StoreUnavailable):
        await books.ledger.write()
    await books.use(300)
    books.clock.turn(BUSY_FOR_S + REREAD_AFTER_S)
    await books.use(300)
    with pytest.raises(BudgetSpent):
        await books.begin()
    with pytest.raises(StoreUnavailable):
        await books.begin(name="b")
    await books.begin(Budget(), name="b")
    store.away = False
    await books.ledger.write()
    await books.ledger.write()
    assert [row.counts.tokens.input for row in await books.rows()] == [1000]


async def test_two_control_planes_learn_of_each_other(books: Books) -> None:
    other = books.plane()
    await books.use(1)
    await books.use(1, ledger=other)
    await books.use(600)
    await books.use(600, ledger=other)
    await books.ledger.write()
    await other.write()
    with pytest.raises(BudgetSpent):
        await books.begin(ledger=other)
    await books.begin()  # it hasn't heard of it yet
    books.clock.turn(REREAD_AFTER_S)
    await books.ledger.reread()
    with pytest.raises(BudgetSpent):
        await books.begin()


async def test_who_was_quiet_is_read_anew_before_the_next_call(books: Books) -> None:
    other = books.plane()
    await books.use(1)
    await books.use(1000, ledger=other)
    await other.write()
    books.clock.turn(BUSY_FOR_S + REREAD_AFTER_S)
    with pytest.raises(BudgetSpent):
        await books.begin()


async def test_a_purged_tenants_last_call_writes_no_line(books: Books) -> None:
    await books.use(5)
    await books.ledger.write()
    call = await books.begin()
    lease = await books.store.claim("a", holder="one", for_s=30)
    assert lease is not None
    line = Entry(at=books.clock.now(), actor="x", action="y", tenant="a")
    await books.store.erase(lease, "t_a", [], line, issue=issuing("a"))
    books.end(call, 5)
    await books.ledger.write()
    assert await books.rows() == []


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_made_up_models_share_a_line(books: Books) -> None:
    for number in range(LINES_MAX + 20):
        await books.use(1, Budget(), model=f"m{number}")
    await books.use(1, Budget(), model="x" * 10_000 + "\n")
    await books.ledger.write()
    rows = await books.rows()
    assert len(rows) == LINES_MAX + 1
    assert max(len(row.key.model) for row in rows) < 200
    [others] = [row for row in rows if row.key.model == OTHERS]
    assert others.counts.calls == 21


async def test_who_calls_no_more_is_forgotten_but_for_the_books(books: Books) -> None:
    await books.use(1000)
    call = await books.begin(name="b")
    books.clock.turn(IDLE_AFTER_S + 1)
    books.ledger.forget_idle()
    assert books.ledger.open_accounts == 2, "one isn't written yet, one calls"
    await books.ledger.write()
    books.end(call, 1)
    await books.ledger.write()
    books.clock.turn(IDLE_AFTER_S + 1)
    books.ledger.forget_idle()
    assert books.ledger.open_accounts == 0
    with pytest.raises(BudgetSpent):
        await books.begin()


# --- what is told -----------------------------------------------------------------------------------------------------


def told(books: Books) -> list[tuple[type[Event], str]]:
    return [(type(event), event.limit) for event in books.happened if isinstance(event, BudgetWarned)]


async def test_news_is_told_once_for_each_limit_and_period(books: Books) -> None:
    both = Budget(day_tokens=1000, month_usd=0.0015)
    await books.use(800, both)
    await books.use(100, both)
    assert told(books) == [(BudgetWarned, "day_tokens")]
    await books.use(300, both)
    assert told(books)[1:] == [(BudgetUsedUp, "day_tokens"), (BudgetWarned, "month_usd")]
    await books.ledger.write()
    again = books.plane()
    for _ in range(2):
        with pytest.raises(BudgetSpent):
            await books.begin(both, ledger=again)
    assert len(told(books)) == 3, "that was told before the crash"
    books.clock.turn(DAY_S)
    await books.use(800, replace(both, month_usd=1.0), ledger=again)
    assert told(books)[3:] == [(BudgetWarned, "day_tokens")]


async def test_a_raised_budget_is_news_again(books: Books) -> None:
    await books.use(1000)
    await books.use(800, Budget(day_tokens=2000))
    assert told(books) == [(BudgetWarned, "day_tokens"), (BudgetUsedUp, "day_tokens"), (BudgetWarned, "day_tokens")]


async def test_that_calls_were_stopped_stands_in_the_trail_once(books: Books) -> None:
    planes = [books.ledger, books.plane(), books.plane()]
    await books.use(1000)
    await books.ledger.write()
    assert await books.trail() == [], "nothing has been stopped yet"
    for plane in planes:
        for _ in range(3):
            with pytest.raises(BudgetSpent):
                await books.begin(ledger=plane)
        await plane.write()
    [line] = await books.trail()
    assert line.detail == {"limit": "day_tokens", "period": "2026-11-20", "most": 1000, "used": 1000}
    books.clock.turn(DAY_S)
    await books.use(1000)
    with pytest.raises(BudgetSpent):
        await books.begin()
    await books.ledger.write()
    assert [each.detail["period"] for each in await books.trail()] == ["2026-11-20", "2026-11-21"]
