"""Usage is read whatever the cut of the stream, and nonsense in it counts as not said."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.broker.marks import ANSWERED_COMMAS_LIMIT
from innkeeper.broker.metering import Reading, TenantMeter, Tokens, Total, Usage, json_object, usage_payload
from innkeeper.broker.sse import EVENT_LIMIT, Event, EventSplitter
from tests.support.fake_provider import anthropic_events, openai_events

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
PARTS = st.sampled_from([b"data: a", b"\n", b"\r", b"\r\n", b": note", b"event: x", b'data: {"usage":1}'])
CUTS = st.lists(st.integers(0, 4000), max_size=40)


def split(stream: bytes, cuts: list[int]) -> tuple[list[Event], bytes]:
    """The stream's events when it is cut there, and what is left over."""
    splitter = EventSplitter()
    edges = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]
    events = [event for a, b in pairwise(edges) for event in splitter.feed(stream[a:b])]
    return events, splitter.rest().raw


def read(events: list[Event]) -> Tokens | None:
    """What the events say about tokens."""
    reading = Reading()
    for event in events:
        reading.note(usage_payload(event) or {})
    return reading.tokens


@given(ENDS, CUTS)
def test_usage_survives_any_cut(end: bytes, cuts: list[int]) -> None:
    openai = b"".join(openai_events(usage=True)).replace(b"\n", end)
    anthropic = b"".join(anthropic_events()).replace(b"\n", end)
    assert read(split(openai, cuts)[0]) == Tokens(input=7, output=3, cache_read=4)
    assert read(split(anthropic, cuts)[0]) == Tokens(input=7, output=3, cache_read=4, cache_write=2)


@given(st.lists(PARTS, max_size=30), CUTS)
def test_cutting_changes_neither_bytes_nor_payloads(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    events, rest = split(stream, cuts)
    assert b"".join(event.raw for event in events) + rest == stream
    whole, _ = split(stream, [])
    assert [event.data for event in events if event.data] == [event.data for event in whole if event.data]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_end_at_blank_lines_alone(end: bytes) -> None:
    stream = end.join([b": note", b"", b"event: x", b"data: a", b"data:b", b"", b"data: c", b"", b"data: torn"])
    for cuts in (range(0), range(len(stream))):
        events, rest = split(stream, list(cuts))
        assert [event.data for event in events if event.data] == [b"a\nb", b"c"]
        assert rest.lstrip() == b"data: torn"


def test_endless_event_is_not_gathered() -> None:
    splitter = EventSplitter()
    passed = sum(len(event.raw) for _ in range(64) for event in splitter.feed(b"x" * 65536))
    assert passed + len(splitter.rest().raw) == 64 * 65536
    assert passed >= 64 * 65536 - EVENT_LIMIT


@pytest.mark.parametrize(
    "usage",
    [
        None,
        7,
        [],
        {},
        {"prompt_tokens": -1, "completion_tokens": -5},
        {"prompt_tokens": "12"},
        {"prompt_tokens": True},
        {"input_tokens": 1.5},
        {"prompt_tokens_details": {"cached_tokens": 5}},
    ],
)
def test_nonsense_is_not_said(usage: Any) -> None:
    reading = Reading()
    reading.note({"usage": usage, "message": usage})
    assert reading.tokens is None


def test_more_cached_than_asked_never_goes_below_zero() -> None:
    reading = Reading()
    reading.note({"usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}})
    assert reading.tokens == Tokens(input=0, cache_read=3)


@pytest.mark.parametrize("data", ["[DONE]", '{"usage":', '["usage"]', '{"usage":' + "[" * 100_000])
def test_payload_that_is_no_object(data: str) -> None:
    assert usage_payload(Event(raw=f"data: {data}\n\n".encode())) is None


def test_payload_over_several_lines() -> None:
    lines = json.dumps({"usage": {"input_tokens": 1}}, indent=1).splitlines()
    payload = usage_payload(Event(raw="".join(f"data: {line}\n" for line in lines).encode() + b"\n"))
    assert payload == {"usage": {"input_tokens": 1}}


def test_totals_are_kept_apart() -> None:
    meter = TenantMeter()
    for tenant, tokens in (("a", Tokens(input=1, output=2)), ("a", None), ("b", Tokens(cache_read=3))):
        meter.used(Usage(tenant=tenant, tenant_id=tenant, provider="p", model="m", tokens=tokens))
    assert meter.total("a") == Total(calls=2, unmeasured=1, tokens=Tokens(input=1, output=2))
    assert meter.total("b") == Total(calls=1, tokens=Tokens(cache_read=3))
    assert meter.total("c") == Total()


def heard(*payloads: dict[str, Any], words: bytes = b"", ended: bool = True) -> Reading:
    reading = Reading()
    for payload in payloads:
        reading.note(payload)
    reading.hear_whole(b'{"text":"' + words + b'"}')
    reading.ended = ended
    return reading


def test_what_isnt_told_is_made_up_for() -> None:
    start = {"message": {"usage": {"input_tokens": 7, "output_tokens": 1, "cache_read_input_tokens": 4}}}
    end = {"usage": {"output_tokens": 3}}
    whole = Tokens(input=7, output=3, cache_read=4)
    assert heard(start, end, words=b"x" * 100).used(50) == (whole, True)
    assert heard(start, words=b"x" * 100).used(50) == (replace(whole, output=50), False), (
        "a first number is no last one"
    )
    assert heard(start, end, words=b"x" * 100, ended=False).used(50) == (replace(whole, output=50), False)
    assert heard(end, words=b"x").used(50) == (Tokens(input=50, output=3), False)
    assert heard(words=b"x" * 101).used(50) == (Tokens(input=50, output=51), False)
    assert heard({"usage": {"prompt_tokens": -1, "completion_tokens": 3}}, words=b"x" * 100).used(5)[1] is False


def test_what_has_no_output_lacks_none() -> None:
    told = {"usage": {"prompt_tokens": 8, "total_tokens": 8}}
    assert heard(told, words=b"x" * 1000).used(50, answers=False) == (Tokens(input=8), True)
    assert heard(words=b"x" * 1000).used(50, answers=False) == (Tokens(input=50), False)


@pytest.mark.parametrize(
    ("event", "tokens"),
    [
        (b'data: {"choices":[{"delta":{"content":"12345678"}}]}', 4),
        (b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\\"a\\":1}"}}]}}]}', 5),
        (b'data: {"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"1234"}}', 2),
        (b'data: {"type":"response.output_text.delta","delta":"1234"}', 2),
        (b'data: {"type":"response.output_text.done","text":"1234"}', 0),
        (b": ping", 0),
        (b'data: {"delta":{"text":"torn', 2),
    ],
)
def test_words_are_heard_in_every_protocol_and_once(event: bytes, tokens: int) -> None:
    reading = Reading()
    reading.hear(event)
    assert reading.heard_tokens == tokens


def test_a_large_batch_of_embeddings_is_read() -> None:
    numbers = ",".join(["0.012345"] * 1536)
    answer = f'{{"data":[{",".join([f"[{numbers}]"] * 1500)}],"usage":{{"prompt_tokens":9}}}}'.encode()
    assert (json_object(answer) or {})["usage"] == {"prompt_tokens": 9}


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"0,"])
def test_too_many_values_are_never_read(unit: bytes) -> None:
    assert json_object(b'{"x":[' + unit * ANSWERED_COMMAS_LIMIT + b'0],"usage":{}}') is None
