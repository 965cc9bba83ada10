"""What every store must keep of what calls used: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from innkeeper.core.ports import Store
from innkeeper.core.ports.usage import Sums, page_key
from innkeeper.core.usage import Amount, Counts, Tokens, UsageKey, UsageRow, UsageSought
from tests.store.databases import DRIVERS, opened
from tests.store.examples import entry, issuing, tenant

ONE = Counts(calls=1, tokens=Tokens(input=10, output=5), micro_usd=7)
ELABORATE = Counts(
    calls=3, unmeasured=2, unpriced=1, tokens=Tokens(input=1, output=2, cache_read=3, cache_write=4), micro_usd=1 << 40
)


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as store:
        async with store.begin() as write:
            await write.add_tenant(tenant("a", 0))
            await write.add_tenant(tenant("b", 1))
        yield store


def row(day: str, *, name: str = "a", provider: str = "p", model: str = "m", counts: Counts = ONE) -> UsageRow:
    return UsageRow(key=UsageKey(f"t_{name}", day, provider, model), tenant=name, counts=counts)


async def add(store: Store, *rows: UsageRow) -> None:
    async with store.begin() as write:
        await write.usage.add(rows)


async def test_what_is_added_comes_back_and_adds_up(store: Store) -> None:
    await add(store, row("2026-11-20", counts=ELABORATE), row("2026-11-20", model="ü"))
    async with store.look() as read:
        assert await read.usage.page(UsageSought()) == [
            row("2026-11-20", counts=ELABORATE),
            row("2026-11-20", model="ü"),
        ]
    await add(store, row("2026-11-20"), row("2026-11-20"))
    async with store.look() as read:
        assert (await read.usage.page(UsageSought()))[0] == row("2026-11-20", counts=ELABORATE + ONE + ONE)


async def test_sums_are_of_a_day_and_its_month(store: Store) -> None:
    days = ("2026-10-31", "2026-11-01", "2026-11-20", "2026-11-30", "2026-12-01")
    await add(store, *(row(day) for day in days), row("2026-11-20", model="n"), row("2026-11-19", name="b"))
    async with store.look() as read:
        found = await read.usage.sums({"t_a", "t_b", "t_nobody"}, "2026-11-20")
        assert dict(found) == {
            "t_a": Sums(Amount(30, 14), Amount(60, 28)),
            "t_b": Sums(Amount(), Amount(15, 7)),
        }
        assert dict(await read.usage.sums(set(), "2026-11-20")) == {}


async def test_pages_have_an_order_and_filters(store: Store) -> None:
    rows = [
        row("2026-10-31", name="b"),
        row("2026-11-01", provider="q"),
        row("2026-11-01", name="b", model="m2"),
        row("2026-11-02", model="m2"),
        row("2026-11-02", provider="q"),
    ]
    await add(store, *reversed(rows))
    async with store.look() as read:
        page = read.usage.page
        assert await page(UsageSought()) == rows
        assert await page(UsageSought(), after=page_key(rows[1]), limit=2) == rows[2:4]
        assert await page(UsageSought(tenant="b")) == [rows[0], rows[2]]
        assert await page(UsageSought(tenant_id="t_a", provider="q")) == [rows[1], rows[4]]
        assert await page(UsageSought(model="m2", since=date(2026, 11, 2))) == [rows[3]]
        assert await page(UsageSought(until=date(2026, 10, 31))) == [rows[0]]
        months = await page(UsageSought(by_month=True, provider="q"))
        assert months == [row("2026-11", provider="q", counts=ONE + ONE)]
        assert await page(UsageSought(by_month=True), after=page_key(months[0])) == [
            row("2026-11", name="b", model="m2")
        ]


async def test_nothing_is_written_for_who_isnt_there(store: Store) -> None:
    await add(store, row("2026-11-20", name="nobody"), row("2026-11-20"))
    async with store.look() as read:
        assert [each.tenant for each in await read.usage.page(UsageSought())] == ["a"]


@pytest.mark.parametrize("purge", [True, False])
async def test_it_outlives_a_tenant_unless_that_is_purged(store: Store, purge: bool) -> None:
    await add(store, row("2026-11-20"), row("2026-11-20", name="b"))
    lease = await store.claim("a", holder="one", for_s=30)
    assert lease is not None
    await store.erase(lease, "t_a", [], entry("tenant.erased"), issue=issuing("a") if purge else None)
    async with store.look() as read:
        left = [each.tenant for each in await read.usage.page(UsageSought())]
    assert left == (["b"] if purge else ["a", "b"])


async def test_old_days_are_forgotten(store: Store) -> None:
    await add(store, row("2026-11-18"), row("2026-11-19"), row("2026-11-20"))
    async with store.begin() as write:
        assert await write.usage.forget(before="2026-11-20") == 2
        assert await write.usage.forget(before="2026-11-20") == 0
        assert [each.key.period for each in await write.usage.page(UsageSought())] == ["2026-11-20"]
