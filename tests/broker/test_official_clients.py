"""The official Python clients of both makers work against the broker as they come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import ToolParam
from openai.types.chat import ChatCompletionToolParam
from openai.types.responses import FunctionToolParam

from innkeeper.broker.metering import Tokens
from tests.broker.house import ALICE, KEY, TOKENS, House
from tests.support.fake_provider import FakeProvider, Gated, refuses, says
from tests.support.tool_calls import ARGUMENTS, wants_a_tool

SCHEMA: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL: ChatCompletionToolParam = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
RESPONSES_TOOL: FunctionToolParam = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
TOOL: ToolParam = {"name": "weather", "input_schema": SCHEMA}
HELLO: Any = [{"role": "user", "content": "Hello"}]


def _from_alice() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(local_address=ALICE), timeout=30)


@pytest.fixture
async def openai_client(openai_house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{openai_house.url}/v1", api_key=TOKENS["id-alice"], http_client=_from_alice(), max_retries=0
    ) as client:
        yield client


@pytest.fixture
async def anthropic_client(anthropic_house: House) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=anthropic_house.url, api_key=TOKENS["id-alice"], http_client=_from_alice(), max_retries=0
    ) as client:
        yield client


async def test_openai_chat(openai_client: openai.AsyncOpenAI, openai_house: House, fake: FakeProvider) -> None:
    whole = await openai_client.chat.completions.create(model="default", messages=HELLO)
    assert whole.choices[0].message.content == "Hello there."
    stream = await openai_client.chat.completions.create(model="default", messages=HELLO, stream=True)
    words = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(words) == "Hello there."
    assert {asked.headers["authorization"] for asked in fake.asked} == {f"Bearer {KEY}"}
    assert openai_house.meter.total("alice").calls == 2


async def test_openai_chat_with_tools(openai_client: openai.AsyncOpenAI, fake: FakeProvider) -> None:
    fake.script = wants_a_tool
    whole = await openai_client.chat.completions.create(model="default", messages=HELLO, tools=[CHAT_TOOL])
    (call,) = whole.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("weather", ARGUMENTS)
    async with openai_client.chat.completions.stream(model="default", messages=HELLO, tools=[CHAT_TOOL]) as stream:
        final = await stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("weather", ARGUMENTS)
    assert [asked.body["tools"] for asked in fake.asked] == [[CHAT_TOOL]] * 2


async def test_openai_responses_with_tools(
    openai_client: openai.AsyncOpenAI, openai_house: House, fake: FakeProvider
) -> None:
    fake.script = wants_a_tool
    whole = await openai_client.responses.create(model="default", input="Hello", tools=[RESPONSES_TOOL])
    async with openai_client.responses.stream(model="default", input="Hello", tools=[RESPONSES_TOOL]) as stream:
        final = await stream.get_final_response()
    for response in (whole, final):
        (call,) = response.output
        assert call.type == "function_call"
        assert call.arguments == ARGUMENTS
    assert [(asked.path, asked.body["model"]) for asked in fake.asked] == [("/v1/responses", "real-1")] * 2
    assert openai_house.meter.total("alice").tokens == Tokens(input=24, output=10, cache_read=16)


async def test_openai_embeddings(openai_client: openai.AsyncOpenAI, openai_house: House, fake: FakeProvider) -> None:
    fake.script = wants_a_tool
    answer = await openai_client.embeddings.create(model="embed-1", input="Hello", encoding_format="float")
    assert answer.data[0].embedding == [0.5, -0.25]
    assert openai_house.meter.total("alice").tokens == Tokens(input=8)


async def test_openai_models(openai_client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in openai_client.models.list()] == ["default", "real-1"]


async def test_anthropic_messages(
    anthropic_client: anthropic.AsyncAnthropic, anthropic_house: House, fake: FakeProvider
) -> None:
    async with anthropic_client.messages.stream(model="default", messages=HELLO, max_tokens=9) as stream:
        words = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert words == ["Hello", " there", "."]
    assert final.usage.output_tokens == 3
    whole = await anthropic_client.messages.create(model="default", messages=HELLO, max_tokens=9)
    assert whole.content[0].type == "text"
    assert (await anthropic_client.messages.count_tokens(model="default", messages=HELLO)).input_tokens == 7
    assert {asked.headers["x-api-key"] for asked in fake.asked} == {KEY}
    assert anthropic_house.meter.total("alice").calls == 2


async def test_anthropic_messages_with_tools(anthropic_client: anthropic.AsyncAnthropic, fake: FakeProvider) -> None:
    fake.script = wants_a_tool
    whole = await anthropic_client.messages.create(model="default", messages=HELLO, max_tokens=9, tools=[TOOL])
    async with anthropic_client.messages.stream(model="default", messages=HELLO, max_tokens=9, tools=[TOOL]) as stream:
        final = await stream.get_final_message()
    for message in (whole, final):
        (use,) = message.content
        assert use.type == "tool_use"
        assert (use.name, use.input) == ("weather", json.loads(ARGUMENTS))
    assert [asked.body["tools"] for asked in fake.asked] == [[TOOL]] * 2


async def test_anthropic_models(anthropic_client: anthropic.AsyncAnthropic) -> None:
    assert [model.id async for model in anthropic_client.models.list()] == ["default", "claude-1"]


async def test_refusals_are_the_clients_own_errors(
    openai_client: openai.AsyncOpenAI, anthropic_client: anthropic.AsyncAnthropic, fake: FakeProvider
) -> None:
    fake.script = refuses(429, b'{"error":{"message":"Slow down."}}', retry_after="7")
    with pytest.raises(openai.RateLimitError) as slow:
        await openai_client.chat.completions.create(model="default", messages=HELLO)
    assert slow.value.response.headers["retry-after"] == "7"
    with pytest.raises(anthropic.RateLimitError):
        await anthropic_client.messages.create(model="default", messages=HELLO, max_tokens=9)
    stranger = openai_client.with_options(api_key="wrong")
    with pytest.raises(openai.AuthenticationError):
        await stranger.models.list()


async def test_streams_that_break_are_errors_to_the_clients(
    openai_client: openai.AsyncOpenAI, anthropic_client: anthropic.AsyncAnthropic, fake: FakeProvider
) -> None:
    fake.script = says(b'data: {"id":"c1","choices":[],"object":"chat.completion.chunk"}\n\n', breaks=True)
    stream = await openai_client.chat.completions.create(model="default", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="connection to the provider"):
        async for _ in stream:
            pass
    fake.script = says(b'event: ping\ndata: {"type":"ping"}\n\n', breaks=True)
    events = await anthropic_client.messages.create(model="default", messages=HELLO, max_tokens=9, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="connection to the provider"):
        async for _ in events:
            pass


async def test_first_word_arrives_before_the_second_is_said(
    openai_client: openai.AsyncOpenAI, fake: FakeProvider
) -> None:
    fake.script = gated = Gated()
    stream = await openai_client.chat.completions.create(model="default", messages=HELLO, stream=True)
    assert (await anext(aiter(stream))).choices[0].delta.content == "Hello"
    assert not gated.go.is_set()
    gated.go.set()
    assert [chunk async for chunk in stream]
