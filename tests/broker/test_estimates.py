"""What a call may use is guessed on the safe side, and pictures aren't taken for words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from innkeeper.broker.callers import Caller
from innkeeper.broker.calls import Dialect, Endpoint, read_call
from innkeeper.broker.estimates import (
    DOCUMENT_TOKENS,
    KEPT_TOKENS,
    OUTPUT_MAX,
    OUTPUT_TOKENS,
    PICTURE_TOKENS,
    Estimate,
    estimate_of,
)

ALICE = Caller(tenant="alice", tenant_id="id-alice", epoch=1)
DATA = "A" * 2_000_000


def estimate(content: Any = "Hi", **fields: Any) -> Estimate:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    return estimate_of(read_call(ALICE, Endpoint.CHAT, Dialect.OPENAI, {}, json.dumps(body).encode()))


def test_two_bytes_are_a_token() -> None:
    few, many = estimate(""), estimate("x" * 10_000)
    assert many.input_tokens - few.input_tokens == 5000
    assert few.input_tokens > 0
    assert estimate("\u00e9" * 1000).input_tokens > 1000


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, OUTPUT_TOKENS),
        ({"max_tokens": 64}, 64),
        ({"max_completion_tokens": 65}, 65),
        ({"max_output_tokens": 66}, 66),
        ({"max_tokens": 64, "max_completion_tokens": 65}, 65),
        ({"max_tokens": 64, "n": 3}, 192),
        ({"max_tokens": None}, OUTPUT_TOKENS),
        ({"max_tokens": -5}, OUTPUT_TOKENS),
        ({"max_tokens": "5"}, OUTPUT_TOKENS),
        ({"max_tokens": True}, OUTPUT_TOKENS),
        ({"max_tokens": 10**30}, OUTPUT_MAX),
        ({"max_tokens": 64, "n": -1}, 64),
        ({"max_tokens": 1, "n": 10**30}, 128),
    ],
)
def test_the_answer_may_be_as_long_as_was_asked_for(fields: dict[str, Any], output: int) -> None:
    assert estimate(**fields).output_tokens == output


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"},
        {"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": DATA}}]},
    ],
)
def test_a_picture_costs_what_a_picture_does(part: Any) -> None:
    assert PICTURE_TOKENS <= estimate([part]).input_tokens < PICTURE_TOKENS + 200


def test_sound_and_documents() -> None:
    assert 31_250 <= estimate([{"type": "input_audio", "input_audio": {"data": DATA}}]).input_tokens < 31_500
    pages = {"type": "document", "source": {"type": "base64", "data": DATA}}
    assert estimate([pages]).input_tokens >= 1_000_000, "nobody knows how much text is in it"
    for named in (
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "input_file", "file_id": "file_1"},
    ):
        assert estimate([named]).input_tokens >= DOCUMENT_TOKENS


@pytest.mark.parametrize("kept", ["previous_response_id", "conversation", "prompt"])
def test_what_the_provider_keeps_of_a_conversation_counts_too(kept: str) -> None:
    body = json.dumps({"model": "m", "input": "Hi", kept: "id_1"}).encode()
    assert estimate_of(read_call(ALICE, Endpoint.RESPONSES, Dialect.OPENAI, {}, body)).input_tokens > KEPT_TOKENS
    assert estimate(**{kept: "id_1"}).input_tokens < 200, "nothing is kept of chat completions"


@pytest.mark.parametrize(
    "content", [None, 7, [None, 7, []], [{"type": "image"}], [{"type": "image", "source": [DATA]}], [{"type": [7]}]]
)
def test_nonsense_is_counted_by_its_bytes(content: Any) -> None:
    assert estimate(content).input_tokens >= len(json.dumps(content)) // 2
