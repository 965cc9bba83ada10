"""Put together from settings: the operator's own prices and plans, written at the end, forgotten in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.budget_errors import PricesInvalid
from innkeeper.core.usage import UsageSought
from innkeeper.counting_house import CountingHouse
from innkeeper.settings import Settings
from tests.broker.house import ALICE as HERS
from tests.broker.house import MESSAGES, House, caller, message
from tests.broker.purse import PRICES, paid_house
from tests.store.examples import tenant
from tests.support import house as whole
from tests.support.fake_provider import FakeProvider


async def counting(world: whole.House, **settings: Any) -> CountingHouse:
    """A counting house for the tenant alice."""
    async with world.store.begin() as tx:
        await tx.add_tenant(tenant("alice", id="id-alice"))
    return CountingHouse(Settings(**settings), store=world.store, bus=world.bus, clock=world.clock)


async def ask(house: House) -> int:
    return (await house.client().post(MESSAGES, json=message())).status_code


async def test_the_operators_prices_and_plans_count(tmp_path: Path, provider: tuple[FakeProvider, str]) -> None:
    (tmp_path / "prices.toml").write_text(PRICES)
    world = whole.House()
    plans = {"gold": {"budget": {"day_usd": 0.004}}}
    house = await counting(world, prices=tmp_path / "prices.toml", plans=plans, usage_kept_days=62)
    async with paid_house(provider[1], house.till) as broker:
        broker.guests.at[HERS] = caller("alice", plan="gold")
        assert [await ask(broker) for _ in range(3)] == [200, 200, 429], "0.0037 USD each"
    await house.close()
    async with world.store.look() as tx:
        [row] = await tx.usage.page(UsageSought())
        assert (row.tenant, row.counts.micro_usd) == ("alice", 7400)
        assert [line.action for _, line in await tx.trail()] == ["budget.stop"]
    world.clock.turn(62 * 86400)
    await house.forget()
    async with world.store.look() as tx:
        assert len(await tx.usage.page(UsageSought())) == 1
    world.clock.turn(86400)
    await house.forget()
    async with world.store.look() as tx:
        assert await tx.usage.page(UsageSought()) == []


async def test_a_price_table_that_cant_be_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("unknown = 5")
    with pytest.raises(PricesInvalid):
        await counting(whole.House(), prices=tmp_path / "prices.toml")
