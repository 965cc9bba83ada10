"""The demo model says what it is, says the same to the same, and repeats nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from innkeeper.broker.demo import demo_answer, last_words
from innkeeper.broker.metering import Tokens
from tests.broker.house import CHAT, MESSAGES, House, chat, message

INTERNAL = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\nSubagents none, SECRETWORD\n<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"
NANOBOT = "[Runtime Context — metadata only, not instructions]\nTime: now\n[/Runtime Context]"


def events(text: str) -> list[dict[str, Any]]:
    """The payloads of a stream."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


async def test_openai_in_both_ways(demo_house: House) -> None:
    client = demo_house.client()
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    whole = (await client.post(CHAT, json=chat("Hello there", tools=tools))).json()
    said = whole["choices"][0]["message"]["content"]
    assert "built-in demo model" in said
    assert "2 words" in said
    assert said == demo_answer("Hello there")
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"]

    answer = await client.post(CHAT, json=chat("Hello there", stream=True, tools=tools))
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text.endswith("data: [DONE]\n\n")
    chunks = events(answer.text)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == said
    assert len(chunks) > 5
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert demo_house.meter.total("alice").calls == 2
    assert demo_house.meter.total("alice").unmeasured == 0


async def test_usage_when_asked(demo_house: House) -> None:
    body = chat("Hello there", stream=True, stream_options={"include_usage": True})
    last = events((await demo_house.client().post(CHAT, json=body)).text)[-1]
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens"] == 2
    assert demo_house.meter.total("alice").tokens == Tokens(input=2, output=last["usage"]["completion_tokens"])


async def test_anthropic_in_both_ways(demo_house: House) -> None:
    client = demo_house.client()
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hello there"}, {"type": "image", "source": {}}]}]
    whole = (await client.post(MESSAGES, json=message(messages=parts, system="Be kind"))).json()
    said = whole["content"][0]["text"]
    assert said == demo_answer("Hello there")
    assert whole["usage"]["input_tokens"] == 4

    answer = await client.post(MESSAGES, json=message(messages=parts, system="Be kind", stream=True))
    payloads = events(answer.text)
    kinds = [payload["type"] for payload in payloads]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")] == kinds
    assert "".join(p["delta"]["text"] for p in payloads if p["type"] == "content_block_delta") == said
    assert payloads[-2]["usage"] == {"output_tokens": whole["usage"]["output_tokens"]}
    assert demo_house.meter.total("alice").tokens.input == 8


async def test_stream_comes_in_several_chunks(demo_house: House) -> None:
    async with demo_house.client().stream("POST", CHAT, json=chat(stream=True)) as answer:
        assert len([chunk async for chunk in answer.aiter_raw()]) > 1


async def test_count_tokens(demo_house: House) -> None:
    answer = await demo_house.client().post(f"{MESSAGES}/count_tokens", json=message("one two three", system="four"))
    assert answer.json() == {"input_tokens": 4}
    assert demo_house.meter.total("alice").calls == 0


async def test_same_words_same_answer_and_other_words_another(demo_house: House) -> None:
    client = demo_house.client()
    first, again, other = await asyncio.gather(
        *(client.post(CHAT, json=chat(text, stream=True)) for text in ("abc", "abc", "abd"))
    )
    assert first.content == again.content
    assert first.content != other.content


async def test_nothing_of_the_prompt_is_repeated(demo_house: House) -> None:
    messages = [
        {"role": "system", "content": "SECRETWORD"},
        {"role": "user", "content": "[Fri 2026-11-20 04:00 UTC] SECRETWORD please\n\nRuntime: SECRETWORD"},
        {"role": "user", "content": INTERNAL},
    ]
    for path in (CHAT, MESSAGES):
        for streams in (True, False):
            body = chat(messages=messages, stream=streams)
            answer = await demo_house.client().post(path, json=body)
            assert answer.status_code == 200
            assert "SECRETWORD" not in answer.text
            assert "INTERNAL_CONTEXT" not in answer.text
            assert demo_answer("SECRETWORD please")[-120:-60] in answer.text or streams


@pytest.mark.parametrize(
    "wrapped",
    [
        "[Fri 2026-11-20 04:00 UTC] Hello there",
        "[Sat 2027-01-02 23:59 UTC] Hello there\n\nRuntime: agent=main | host=x",
        f"Hello there\n{INTERNAL}",
        f"Hello there\n\n{NANOBOT}",
        f"{NANOBOT}\n\nHello there",
        f"Hello there{INTERNAL[:-10]}",
    ],
)
def test_only_the_users_words_count(wrapped: str) -> None:
    messages = [{"role": "user", "content": wrapped}, {"role": "assistant", "content": "x"}]
    assert last_words([*messages, {"role": "user", "content": INTERNAL}]) == "Hello there"


@pytest.mark.parametrize("messages", [None, [], {}, "hello", 7])
async def test_messages_must_be_there(demo_house: House, messages: Any) -> None:
    for path in (CHAT, MESSAGES):
        answer = await demo_house.client().post(path, json=chat(messages=messages))
        assert answer.status_code == 400
        assert "messages" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "odd",
    [[None], [7], [{}], [{"role": "user"}], [{"role": "user", "content": [None, 7, {"type": "text", "text": None}]}]],
)
async def test_odd_messages_do_no_harm(demo_house: House, odd: Any) -> None:
    answer = await demo_house.client().post(CHAT, json=chat(messages=odd))
    assert answer.status_code == 200
    assert "0 words" in answer.json()["choices"][0]["message"]["content"]


async def test_half_a_surrogate_pair(demo_house: House) -> None:
    body = b'{"model":"default","messages":[{"role":"user","content":"\\ud83e"}]}'
    assert (await demo_house.client().post(CHAT, content=body)).status_code == 200
