"""Budgets at the broker: what is used is charged, what is spent is refused in the provider's own words, and many at
once don't get past it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from innkeeper.broker.marks import COMMAS_LIMIT
from innkeeper.core.budget_errors import PlanMissing, RateLimited
from innkeeper.core.events import BudgetUsedUp, BudgetWarned
from innkeeper.core.usage import Amount, Tokens
from tests.broker.house import ALICE, BOB, CHAT, MESSAGES, TOKENS, House, message, until
from tests.broker.purse import PRICES, Purse, paid_house
from tests.support.fake_provider import (
    EVENT_STREAM,
    FakeProvider,
    Gated,
    Hanging,
    Reply,
    Script,
    anthropic_events,
    openai_events,
    refuses,
    says,
)
from tests.support.serving import free_port

WHOLE = "application/json"


@pytest.fixture
async def purse() -> Purse:
    purse = Purse()
    await purse.move_in()
    return purse


@pytest.fixture
async def house(provider: tuple[FakeProvider, str], purse: Purse) -> AsyncIterator[House]:
    """In front of a server that speaks both protocols."""
    async with paid_house(provider[1], purse.till) as house:
        yield house


def tells(usage: Any) -> Script:
    """A whole answer with that usage."""
    return says(json.dumps({"id": "m1", "content": [{"type": "text", "text": "Hello!"}], "usage": usage}).encode(),
                content_type=WHOLE)  # fmt: skip


async def ask(house: House, path: str = MESSAGES, **fields: Any) -> httpx2.Response:
    return await house.client().post(path, json=message(**fields))


# --- what is charged --------------------------------------------------------------------------------------------------


async def test_each_kind_of_token_is_charged_by_the_table(house: House, purse: Purse, fake: FakeProvider) -> None:
    fake.script = tells(
        {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2}
    )
    assert (await ask(house)).status_code == 200
    used = await purse.used()
    assert used.tokens == Tokens(input=7, output=3, cache_read=4, cache_write=2)
    assert used.micro_usd == 7 * 100 + 3 * 1000 + 4 * 10 + 2 * 200
    assert (used.calls, used.unmeasured, used.unpriced) == (1, 0, 0)


async def test_streams_are_charged_alike(house: House, purse: Purse) -> None:
    await ask(house, stream=True)
    await ask(house, CHAT, stream=True)
    used = await purse.used()
    assert used.tokens == Tokens(input=14, output=6, cache_read=8, cache_write=2)
    assert (used.calls, used.unmeasured) == (2, 0)


async def test_errors_and_counting_cost_nothing(house: House, purse: Purse, fake: FakeProvider) -> None:
    purse.may("alice", budget={"day_tokens": 1})
    assert (await ask(house, f"{MESSAGES}/count_tokens")).status_code == 200
    fake.script = refuses(429, b"{}")
    assert (await ask(house)).status_code == 429
    fake.script = says(b"<html>", content_type="text/html")
    assert (await ask(house)).status_code == 502
    assert (await purse.used()).calls == 0
    assert await stands(purse) == (0, 0)


async def stands(purse: Purse, name: str = "alice") -> Amount:
    """What is used and reserved of the day's tokens."""
    [standing] = await purse.ledger.standings(name, f"id-{name}", purse.uses[name].budget)
    return Amount(standing.used, standing.reserved)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"input_tokens": -7, "output_tokens": -3},
        {"input_tokens": 7, "output_tokens": -3},
        {"input_tokens": "7"},
        {"input_tokens": 10**12, "output_tokens": 3},
        {"output_tokens": 3},
        {"input_tokens": 7},
        {"input_tokens": 7, "output_tokens": 0},
    ],
)
async def test_usage_that_is_missing_or_cant_be_is_estimated(
    house: House, purse: Purse, fake: FakeProvider, usage: Any
) -> None:
    fake.script = tells(usage)
    assert (await ask(house, text="x" * 1000)).status_code == 200
    used = await purse.used()
    assert used.unmeasured == 1
    assert used.tokens.total < 2000, "what can't be isn't believed"
    assert used.tokens.output >= 3, "six bytes are three tokens"
    assert used.tokens.input >= (7 if isinstance(usage, dict) and usage.get("input_tokens") == 7 else 500)
    assert used.micro_usd > 0


async def test_a_stream_that_breaks_costs_what_was_heard(house: House, purse: Purse, fake: FakeProvider) -> None:
    events = anthropic_events(words=["x" * 500] * 4)
    fake.script = says(*events[:6], breaks=True)  # three of the four, and no last word on the usage
    await ask(house, stream=True)
    used = await purse.used()
    assert used.tokens == Tokens(input=7, output=750, cache_read=4, cache_write=2)
    assert used.unmeasured == 1


async def test_a_stream_that_never_tells_costs_what_was_sent_and_heard(
    house: House, purse: Purse, fake: FakeProvider
) -> None:
    fake.script = says(*openai_events(usage=False, words=["word"] * 10))
    await ask(house, CHAT, text="x" * 1000, stream=True)
    used = await purse.used()
    assert used.tokens.output == 20
    assert 500 <= used.tokens.input < 700
    assert used.unmeasured == 1


async def test_who_hangs_up_pays_for_what_was_begun(house: House, purse: Purse, fake: FakeProvider) -> None:
    fake.script = hanging = Hanging()
    call = asyncio.create_task(ask(house, text="x" * 1000))
    await hanging.began.wait()
    call.cancel()
    await until(lambda: not house.broker.in_flight("alice"))
    used = await purse.used()
    assert 500 <= used.tokens.input < 700
    assert (used.calls, used.unmeasured) == (1, 1)


async def test_a_provider_that_cant_be_reached_costs_nothing(purse: Purse) -> None:
    purse.may("alice", budget={"day_tokens": 10})
    async with paid_house(f"http://127.0.0.1:{free_port()}", purse.till) as house:
        assert (await ask(house)).status_code == 502
    assert (await purse.used()).calls == 0
    assert await stands(purse) == (0, 0)


async def test_a_provider_that_goes_silent_is_paid_for_the_input(
    purse: Purse, provider: tuple[FakeProvider, str]
) -> None:
    fake, url = provider
    fake.script = Hanging()
    impatient = httpx2.Timeout(60, read=0.05)
    async with paid_house(url, purse.till, timeout=impatient) as house:
        assert (await ask(house)).status_code == 504
    assert (await purse.used()).unmeasured == 1


async def test_an_answer_that_is_too_large_is_paid_for_all_the_same(
    house: House, purse: Purse, fake: FakeProvider
) -> None:
    purse.may("alice", budget={"day_tokens": 10_000})
    fake.script = says(*[b" " * 2**20] * 40, content_type="application/json")
    assert (await ask(house, text="x" * 1000)).status_code == 502
    used = await purse.used()
    assert (used.calls, used.unmeasured) == (1, 1)
    assert 500 <= used.tokens.input < 700
    assert await stands(purse) == Amount(used.tokens.total, 0)


async def test_an_answer_of_too_many_values_passes_unread_and_costs_its_length(
    house: House, purse: Purse, fake: FakeProvider
) -> None:
    answer = b'{"usage":{"input_tokens":1,"output_tokens":1},"x":[' + b"[]," * COMMAS_LIMIT + b"0]}"
    fake.script = says(answer, content_type="application/json")
    assert (await ask(house)).content == answer
    used = await purse.used()
    assert (used.unmeasured, used.tokens.output) == (1, -(-len(answer) // 2))


async def test_an_unknown_model_is_charged_by_the_rule(house: House, purse: Purse) -> None:
    await ask(house, model="from-nowhere")
    used = await purse.used()
    assert used.unpriced == 1
    assert used.micro_usd == 7 * 100 + 3 * 1000


async def test_an_unknown_model_may_be_refused(provider: tuple[FakeProvider, str]) -> None:
    purse = Purse(prices='unknown = "refuse"\n' + PRICES)
    async with paid_house(provider[1], purse.till) as house:
        refused = await ask(house, model="from-nowhere")
        assert refused.status_code == 403
        assert refused.json()["error"]["type"] == "permission_error"
        assert "from-nowhere" in refused.json()["error"]["message"]
        assert provider[0].asked == []
        assert (await ask(house)).status_code == 200


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_a_budget_of_a_thousand_tokens_stops_the_next_call(
    house: House, purse: Purse, fake: FakeProvider
) -> None:
    purse.may("alice", budget={"day_tokens": 1000})
    fake.script = tells({"input_tokens": 700, "output_tokens": 90})
    assert (await ask(house)).status_code == 200
    assert purse.happened == []
    assert (await ask(house)).status_code == 200, "there was something left"
    assert [(type(event), event.tenant) for event in purse.happened] == [
        (BudgetWarned, "alice"),
        (BudgetUsedUp, "alice"),
    ]
    for _ in range(3):
        assert (await ask(house)).status_code == 429
    assert len(fake.asked) == 2
    [line] = await purse.trail()
    assert (line.actor, line.action, line.tenant, line.tenant_id) == ("system", "budget.stop", "alice", "id-alice")
    assert line.detail == {"limit": "day_tokens", "period": "2026-11-20", "most": 1000, "used": 1580}
    assert (await house.client(BOB).post(MESSAGES, json=message())).status_code == 200


async def test_the_warning_comes_once(house: House, purse: Purse, fake: FakeProvider) -> None:
    purse.may("alice", budget={"day_tokens": 1000, "month_tokens": 100_000})
    fake.script = tells({"input_tokens": 400, "output_tokens": 20})
    for _ in range(2):
        await ask(house)
    fake.script = tells({"input_tokens": 5, "output_tokens": 5})
    await ask(house)
    [warned] = purse.happened
    assert isinstance(warned, BudgetWarned)
    assert (warned.kind, warned.limit, warned.period) == ("budget.warned", "day_tokens", "2026-11-20")
    assert (warned.used, warned.most) == (840, 1000)


async def test_openais_client_understands_a_spent_budget_and_doesnt_repeat(
    house: House, purse: Purse, fake: FakeProvider
) -> None:
    purse.may("alice", budget={"day_usd": 0})
    client = openai.AsyncOpenAI(api_key=TOKENS["id-alice"], base_url=f"{house.url}/v1", http_client=at_alice(house))
    with pytest.raises(openai.RateLimitError) as refused:
        await client.chat.completions.create(model="default", messages=[{"role": "user", "content": "Hi"}])
    assert (refused.value.code, refused.value.type) == ("insufficient_quota", "insufficient_quota")
    assert "0.00 USD a day" in refused.value.message
    assert fake.asked == []
    assert purse.asked == 1


async def test_anthropics_client_understands_a_spent_budget_and_doesnt_repeat(house: House, purse: Purse) -> None:
    purse.may("alice", budget={"month_tokens": 0})
    client = anthropic.AsyncAnthropic(api_key=TOKENS["id-alice"], base_url=house.url, http_client=at_alice(house))
    with pytest.raises(anthropic.RateLimitError) as refused:
        await client.messages.create(model="default", max_tokens=10, messages=[{"role": "user", "content": "Hi"}])
    assert refused.value.error_code == "enforced_spend_limit_reached"
    assert "0 tokens a month" in refused.value.message
    assert purse.asked == 1


def at_alice(house: House) -> Any:
    """A client of the sort that both libraries take, at alice's address and without a token of its own."""
    return house.client(headers={})


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_a_stream_is_refused_alike(house: House, purse: Purse, path: str) -> None:
    purse.may("alice", budget={"day_tokens": 0})
    refused = await ask(house, path, stream=True)
    assert refused.status_code == 429
    assert refused.headers["content-type"] == WHOLE
    assert refused.headers["x-should-retry"] == "false"
    assert refused.headers["retry-after"] == str(12 * 3600), "the clock says noon"


async def test_what_is_reserved_is_refused_for_now(house: House, purse: Purse, fake: FakeProvider) -> None:
    purse.may("alice", budget={"day_tokens": 50})
    fake.script = gated = Gated()
    first = asyncio.create_task(ask(house, stream=True))
    await gated.began.wait()
    second = await ask(house)
    assert second.status_code == 429
    assert second.json()["error"]["type"] == "rate_limit_error"
    assert second.headers["retry-after"] == "2"
    assert "x-should-retry" not in second.headers
    gated.go.set()
    assert (await first).status_code == 200
    assert (await ask(house)).status_code == 200, "what wasn't used is free again"
    assert await purse.trail() == [], "no budget has stopped anything"


async def test_fifty_streams_at_once_pass_the_budget_by_no_more_than_was_reserved(
    house: House, purse: Purse, fake: FakeProvider
) -> None:
    purse.may("alice", budget={"day_tokens": 2000})
    streaming, go = Streaming(words=200), asyncio.Event()
    fake.script = streaming
    calls = [asyncio.create_task(ask(house, stream=True, max_tokens=300)) for _ in range(50)]
    await until(lambda: sum(call.done() for call in calls) + streaming.began == 50)
    used, reserved = await stands(purse)
    assert used == 0
    assert reserved >= 2000
    passed = streaming.began
    one = reserved // passed
    assert reserved - one < 2000, "the last to begin found something left"
    streaming.go.set()
    answers = await asyncio.gather(*calls)
    go.set()
    assert sorted({answer.status_code for answer in answers}) == [200, 429]
    assert len(fake.asked) == passed == sum(answer.status_code == 200 for answer in answers)
    total = (await purse.used()).amount.tokens
    assert total <= reserved
    assert total <= 2000 + one


async def test_a_stream_that_says_more_than_it_may_reserves_more(
    house: House, purse: Purse, fake: FakeProvider
) -> None:
    """A provider needn't heed `max_tokens`."""
    purse.may("alice", budget={"day_tokens": 5000})
    fake.script = streaming = Streaming(words=200, at_first=b"x" * 20_000)
    call = asyncio.create_task(ask(house, stream=True, max_tokens=10))
    await until(lambda: streaming.began)
    await until(lambda: reserved_now(purse) >= 10_000)
    assert (await ask(house, max_tokens=10)).status_code == 429
    streaming.go.set()
    await call


def reserved_now(purse: Purse) -> int:
    """Without a look into the store."""
    account = purse.ledger._accounts["id-alice"]
    return sum(each.amount.tokens for each in account.under_way)


class Streaming:
    """Streams a first word, waits until it is told to go on, then says the rest and what it was."""

    def __init__(self, *, words: int, at_first: bytes = b"x") -> None:
        self.began = 0
        self.go = asyncio.Event()
        self._words = words
        self._first = at_first.decode()

    async def __call__(self, reply: Reply) -> None:
        """The script."""
        start, _, *rest = anthropic_events(words=[self._first])
        await reply.start(200, EVENT_STREAM)
        await reply.write(start, *rest[:2])
        self.began += 1
        await self.go.wait()
        usage = {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 20, "output_tokens": self._words}}
        await reply.write(b"event: message_delta\ndata: " + json.dumps(usage).encode() + b"\n\n")
        await reply.end(rest[-1])


async def test_calls_are_refused_where_the_plan_is_gone(house: House, purse: Purse, fake: FakeProvider) -> None:
    purse.may("alice", plan="gold")
    refused = await ask(house)
    assert refused.status_code == 403
    assert "gold" in refused.json()["error"]["message"]
    assert fake.asked == []


async def test_a_plan_says_what_the_tenant_doesnt(provider: tuple[FakeProvider, str]) -> None:
    purse = Purse(plans={"gold": {"budget": {"day_tokens": 1, "month_tokens": 10**6}, "calls_per_minute": 2}})
    await purse.move_in()
    async with paid_house(provider[1], purse.till) as house:
        purse.may("alice", plan="gold")
        assert [(await ask(house)).status_code for _ in range(3)] == [200, 429, 429]
        purse.may("alice", plan="gold", budget={"day_tokens": 100_000}, calls_per_minute=100)
        purse.clock.turn(1)
        assert (await ask(house)).status_code == 200
        purse.may("alice", plan="gold", budget={"month_tokens": 1}, calls_per_minute=100)
        assert (await ask(house)).status_code == 429


# --- rates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, MESSAGES, f"{MESSAGES}/count_tokens"])
async def test_more_calls_than_may_be_in_a_minute_are_refused(
    house: House, purse: Purse, fake: FakeProvider, path: str
) -> None:
    purse.may("alice", calls_per_minute=3)
    answers = [await ask(house, path) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json()["error"]["type"] == "rate_limit_error"
    assert answers[-1].headers["retry-after"] == "20"
    assert len(fake.asked) == 3
    assert (await house.client(BOB).post(MESSAGES, json=message())).status_code == 200
    purse.clock.turn(20)
    assert [(await ask(house, path)).status_code for _ in range(2)] == [200, 429]


async def test_calls_without_a_model_count_towards_the_rate(house: House, purse: Purse) -> None:
    purse.may("alice", calls_per_minute=2, budget={"day_tokens": 0})
    alice = house.guests.at[ALICE]
    purse.till.knock(alice)
    purse.till.knock(alice)
    with pytest.raises(RateLimited):
        purse.till.knock(alice)
    purse.may("alice", plan="gone")
    with pytest.raises(PlanMissing):
        purse.till.knock(alice)
