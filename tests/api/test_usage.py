"""What the API and the command line tell of what was used and of what is left."""

from __future__ import annotations

import base64
from typing import Any

import httpx2
import pytest

from innkeeper.core.plans import plans_from
from innkeeper.core.prices import Price
from innkeeper.core.usage import Counts, Tokens
from tests.api.bench import Bench
from tests.api.listening import stream, upto

PRICE = Price(input=1_000_000, output=1_000_000, cache_read=0, cache_write=0)


async def use(bench: Bench, name: str = "alice", *, tokens: int = 100, model: str = "m", over: bool = True) -> None:
    """A call, to its end unless it isn't over yet."""
    tenant = await bench.house.tenant(name)
    ledger = bench.house.ledger
    call = await ledger.reserve(name, tenant.id, tenant.spec.uses.budget, PRICE, input_tokens=tokens, output_tokens=0)
    if over:
        counts = Counts(calls=1, unmeasured=1, tokens=Tokens(input=tokens, output=1, cache_read=2), micro_usd=1_500_000)
        ledger.settle(call, counts, provider="p", model=model)


async def set_uses(api: httpx2.AsyncClient, **uses: Any) -> httpx2.Response:
    return await api.patch("/v1/tenants/alice", json={"uses": uses})


async def test_a_tenants_usage_and_what_is_left(bench: Bench, api: httpx2.AsyncClient) -> None:
    await bench.tenant()
    assert (await set_uses(api, budget={"day_tokens": 1000, "month_usd": 4}, calls_per_minute=60)).status_code == 202
    await use(bench, tokens=797)
    bench.house.clock.turn(86400)
    await use(bench, tokens=797)
    await use(bench, tokens=150, over=False)
    told = (await api.get("/v1/tenants/alice/usage")).json()
    assert told["limits"] == [
        {"limit": "day_tokens", "period": "2026-11-21", "window": "day", "most": 1000, "used": 800, "reserved": 150,
         "percent": 80.0, "spent": False},
        {"limit": "month_usd", "period": "2026-11", "window": "month", "most": 4, "used": 3, "reserved": 0.00015,
         "percent": 75.0, "spent": False},
    ]  # fmt: skip
    assert (told["plan"], told["plan_missing"], told["calls_per_minute"]) == (None, False, 60)
    assert (told["day"]["calls"], told["month"]["calls"], told["month"]["usd"]) == (1, 2, 3.0)
    assert told["day"]["tokens"] == {"input": 797, "output": 1, "cache_read": 2, "cache_write": 0, "total": 800}
    assert [(each["provider"], each["model"], each["calls"]) for each in told["models"]] == [("p", "m", 2)]
    assert told["prices"]["unknown"] == "dearest"
    assert (await api.get("/v1/tenants/nobody/usage")).status_code == 404


async def test_a_budgets_limits_are_changed_one_by_one(bench: Bench, api: httpx2.AsyncClient) -> None:
    await bench.tenant()
    await set_uses(api, budget={"day_tokens": 1000, "month_usd": 4})
    await set_uses(api, budget={"day_tokens": None, "day_usd": 1.5})
    budget = (await api.get("/v1/tenants/alice")).json()["uses"]["budget"]
    assert budget == {"day_tokens": None, "month_tokens": None, "day_usd": 1.5, "month_usd": 4.0}
    await set_uses(api, budget=None)
    budget = (await api.get("/v1/tenants/alice")).json()["uses"]["budget"]
    assert set(budget.values()) == {None}


async def test_a_plan_that_isnt_there(bench: Bench, api: httpx2.AsyncClient) -> None:
    await bench.tenant()
    bench.house.control.plans = plans_from({"gold": {"budget": {"day_tokens": 7}}})
    refused = await set_uses(api, plan="silver")
    assert (refused.status_code, refused.json()["field"]) == (400, "uses.plan")
    assert "gold" in refused.json()["hint"]
    await set_uses(api, plan="gold")
    assert [each["most"] for each in (await api.get("/v1/tenants/alice/usage")).json()["limits"]] == [7]
    bench.house.control.plans = {}
    told = (await api.get("/v1/tenants/alice/usage")).json()
    assert (told["plan"], told["plan_missing"], told["limits"]) == ("gold", True, [])


async def test_everybodys_usage_comes_in_pages_with_filters(bench: Bench, api: httpx2.AsyncClient) -> None:
    await bench.tenant("alice")
    await bench.tenant("bob")
    for _ in range(2):
        for name, model in (("alice", "m1"), ("alice", "m2"), ("bob", "m1")):
            await use(bench, name, model=model)
        bench.house.clock.turn(86400)

    async def lines(**asked: Any) -> list[tuple[str, str, str, int]]:
        found, cursor = [], None
        while True:
            page = (
                await api.get("/v1/usage", params={**asked, "limit": 2, **({"cursor": cursor} if cursor else {})})
            ).json()
            assert len(page["items"]) <= 2
            found += [(each["period"], each["tenant"], each["model"], each["calls"]) for each in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                return found

    days = [("2026-11-20", 1), ("2026-11-21", 1)]
    whom = [("alice", "m1"), ("alice", "m2"), ("bob", "m1")]
    assert await lines() == [(day, name, model, calls) for day, calls in days for name, model in whom]
    assert await lines(by="month") == [("2026-11", name, model, 2) for name, model in whom]
    assert await lines(tenant="bob", since="2026-11-21") == [("2026-11-21", "bob", "m1", 1)]
    assert await lines(model="m2", until="2026-11-20", provider="p") == [("2026-11-20", "alice", "m2", 1)]
    assert await lines(tenant="carol") == []


@pytest.mark.parametrize(
    "asked",
    [
        {"by": "year"},
        {"since": "yesterday"},
        {"tenant": "a\0"},
        {"cursor": base64.urlsafe_b64encode(b"{}").decode()},
        {"cursor": base64.urlsafe_b64encode(b'["a","b","c","d"]').decode()},
        {"cursor": base64.urlsafe_b64encode(b'["a","b","c","d",5]').decode()},
        {"cursor": base64.urlsafe_b64encode(b'["a","b","c","d","\\u0000"]').decode()},
    ],
)
async def test_what_cant_be_asked_for(api: httpx2.AsyncClient, asked: dict[str, str]) -> None:
    assert (await api.get("/v1/usage", params=asked)).status_code == 400


async def test_who_listens_hears_of_budgets(bench: Bench, api: httpx2.AsyncClient, url: str) -> None:
    await set_uses(api, budget={"day_tokens": 100})
    async with stream(bench, url, "/v1/tenants/alice/events") as events:
        await upto(events, "listening")
        await use(bench, tokens=200)
        told = await upto(events, "budget.spent")
    heard = {name: data for name, data in told if name.startswith("budget.")}
    assert list(heard) == ["budget.warned", "budget.spent"]
    assert (heard["budget.spent"]["limit"], heard["budget.spent"]["most"]) == ("day_tokens", 100)
    assert (heard["budget.spent"]["used"], heard["budget.spent"]["period"]) == (203, "2026-11-20")
