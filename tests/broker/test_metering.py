"""Usage is read whatever the cut of the stream, and nonsense in it counts as not said."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.broker.metering import Reading, TenantMeter, Tokens, Total, Usage, usage_payload
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
