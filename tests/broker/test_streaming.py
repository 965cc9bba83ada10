"""Streams pass unbuffered and byte for byte, end with their client, and say so when they break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from innkeeper.broker.metering import Tokens
from tests.broker.house import CHAT, MESSAGES, House, chat, message, until
from tests.support.fake_provider import (
    FakeProvider,
    Gated,
    Hanging,
    anthropic_events,
    openai_events,
    says,
)

STREAMS = [(CHAT, chat(stream=True)), (MESSAGES, message(stream=True))]


async def gone(house: House) -> None:
    """Until the broker has let go of alice's calls."""
    await until(lambda: not house.broker.in_flight("alice"))


@pytest.mark.parametrize(("path", "body"), STREAMS)
async def test_first_event_comes_before_the_second_is_sent(
    anthropic_house: House, fake: FakeProvider, path: str, body: dict[str, object]
) -> None:
    fake.script = gated = Gated()
    async with anthropic_house.client().stream("POST", path, json=body) as answer:
        chunks = answer.aiter_raw()
        first = await anext(chunks)
        assert not gated.go.is_set()
        assert b"data: " in first
        assert anthropic_house.broker.in_flight("alice") == 1
        gated.go.set()
        rest = b"".join([chunk async for chunk in chunks])
    assert rest
    await gone(anthropic_house)


async def test_anthropic_stream_is_byte_exact(anthropic_house: House, fake: FakeProvider) -> None:
    events = anthropic_events()
    whole = b": hello\r\n\r\n" + b"".join(events).replace(b"\n\n", b"\r\n\r\n", 3) + b"retry: 5\n\n\nevent: torn"
    fake.script = says(*(whole[at : at + 7] for at in range(0, len(whole), 7)))
    answer = await anthropic_house.client().post(MESSAGES, json=message(stream=True))
    assert answer.content == whole
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("asked_for", [True, False])
async def test_openai_stream_is_byte_exact_and_usage_only_for_those_who_ask(
    openai_house: House, fake: FakeProvider, asked_for: bool
) -> None:
    options = {"include_usage": True} if asked_for else None
    answer = await openai_house.client().post(CHAT, json=chat(stream=True, stream_options=options))
    events = openai_events(usage=True)
    assert fake.asked[0].body["stream_options"] == {"include_usage": True}
    assert answer.content == b"".join(events if asked_for else [*events[:-2], events[-1]])
    assert openai_house.meter.total("alice").tokens == Tokens(input=7, output=3, cache_read=4)


async def test_other_stream_options_are_kept(openai_house: House, fake: FakeProvider) -> None:
    body = chat(stream=True, stream_options={"include_usage": False, "include_obfuscation": False})
    await openai_house.client().post(CHAT, json=body)
    assert fake.asked[0].body["stream_options"] == {"include_usage": True, "include_obfuscation": False}


async def test_event_larger_than_the_limit_passes_whole(anthropic_house: House, fake: FakeProvider) -> None:
    large = b"data: " + b"x" * 3_000_000 + b"\n\n"
    fake.script = says(*(large[at : at + 50_000] for at in range(0, len(large), 50_000)), *anthropic_events())
    answer = await anthropic_house.client().post(MESSAGES, json=message(stream=True))
    assert answer.content == large + b"".join(anthropic_events())
    assert anthropic_house.meter.total("alice").tokens.output == 3


@pytest.mark.parametrize(("path", "body"), STREAMS)
async def test_client_that_hangs_up_ends_the_providers_work(
    anthropic_house: House, fake: FakeProvider, path: str, body: dict[str, object]
) -> None:
    fake.script = gated = Gated()
    client = anthropic_house.client()
    async with client.stream("POST", path, json=body) as answer:
        await anext(answer.aiter_raw())
    await gated.abandoned.wait()
    await gone(anthropic_house)
    assert anthropic_house.meter.total("alice").calls == 1


async def test_client_that_hangs_up_before_the_answer_ends_the_call(openai_house: House, fake: FakeProvider) -> None:
    fake.script = hanging = Hanging()
    waiting = asyncio.create_task(openai_house.client().post(CHAT, json=chat()))
    await hanging.began.wait()
    waiting.cancel()
    await hanging.abandoned.wait()
    await gone(openai_house)


async def test_what_was_read_before_the_client_left_is_metered(anthropic_house: House, fake: FakeProvider) -> None:
    fake.script = Gated()
    async with anthropic_house.client().stream("POST", MESSAGES, json=message(stream=True)) as answer:
        await anext(answer.aiter_raw())
    await gone(anthropic_house)
    assert anthropic_house.meter.total("alice").tokens == Tokens(input=7, output=1, cache_read=4, cache_write=2)


async def test_provider_that_dies_in_mid_stream_is_told_in_openais_words(
    openai_house: House, fake: FakeProvider
) -> None:
    events = openai_events(usage=True)
    fake.script = says(events[0], events[1], b'data: {"torn', breaks=True)
    answer = await openai_house.client().post(CHAT, json=chat(stream=True))
    assert answer.content.startswith(events[0] + events[1])
    assert b"torn" not in answer.content
    assert b"[DONE]" not in answer.content
    last = answer.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "provider_unreachable"
    assert openai_house.meter.total("alice").unmeasured == 1


async def test_provider_that_dies_in_mid_stream_is_told_in_anthropics_words(
    anthropic_house: House, fake: FakeProvider
) -> None:
    events = anthropic_events()
    fake.script = says(*events[:4], breaks=True)
    answer = await anthropic_house.client().post(MESSAGES, json=message(stream=True))
    assert answer.content.startswith(b"".join(events[:4]))
    assert b"message_stop" not in answer.content
    name, data = answer.text.strip().split("\n\n")[-1].split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["type"] == "api_error"


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\n\n\n\n",
        b"<html>no events</html>",
        b"data: {not json\n\ndata: [1]\n\ndata: null\n\n",
        b'data: {"usage": "much"}\n\ndata: {"usage": {"prompt_tokens": -5, "completion_tokens": 1e99}}\n\n',
        b"\xff\xfe\x00data\r\r\n\n: \x00\n\n",
        b"event: message_start\n\nevent: message_start\ndata: {}\n\ndata",
    ],
)
@pytest.mark.parametrize(("path", "body"), STREAMS)
async def test_a_stream_that_makes_no_sense_is_passed_as_it_is(
    anthropic_house: House, fake: FakeProvider, path: str, body: dict[str, object], stream: bytes
) -> None:
    fake.script = says(*(stream[at : at + 3] for at in range(0, len(stream), 3)))
    answer = await anthropic_house.client().post(path, json=body)
    assert (answer.status_code, answer.content) == (200, stream)
    await gone(anthropic_house)
    assert anthropic_house.meter.total("alice").unmeasured == 1


async def test_one_tenants_end_leaves_anothers_stream(anthropic_house: House, fake: FakeProvider) -> None:
    fake.script = gated = Gated()
    bob = anthropic_house.client("127.0.0.3")
    async with bob.stream("POST", MESSAGES, json=message(stream=True)) as answer:
        chunks = answer.aiter_raw()
        await anext(chunks)
        async with anthropic_house.client().stream("POST", MESSAGES, json=message(stream=True)) as other:
            await anext(other.aiter_raw())
        await gone(anthropic_house)
        gated.go.set()
        assert b"message_stop" in b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("stamp", [chat, message])
async def test_in_flight_falls_back_to_zero(anthropic_house: House, stamp: Callable[[], dict[str, object]]) -> None:
    path = CHAT if stamp is chat else MESSAGES
    assert (await anthropic_house.client().post(path, json=stamp())).status_code == 200
    await gone(anthropic_house)
    assert anthropic_house.broker.in_flight("nobody") == 0
