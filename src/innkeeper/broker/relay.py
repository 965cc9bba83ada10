"""Carries an answer to the client: unbuffered, byte for byte, and honest about where it broke."""

from __future__ import annotations

from contextlib import aclosing

import structlog

from innkeeper.broker.calls import Call
from innkeeper.broker.exchange import Exchange
from innkeeper.broker.metering import Reading, json_object, usage_payload
from innkeeper.broker.refusals import error_event
from innkeeper.broker.sse import Event, EventSplitter
from innkeeper.broker.upstream import Answer, Reply, Stream
from innkeeper.core.errors import Problem

_log = structlog.get_logger(__name__)


async def relay(answer: Answer, call: Call, exchange: Exchange, reading: Reading) -> None:
    """Send the answer on, reading on the way what it cost."""
    match answer:
        case Reply():
            reading.note(json_object(answer.body) or {})
            reading.hear_whole(answer.body)
            reading.ended = True
            await exchange.answer(answer.status, answer.body, answer.headers)
        case Stream():
            await _relay_stream(answer, call, exchange, reading)


async def _relay_stream(stream: Stream, call: Call, exchange: Exchange, reading: Reading) -> None:
    await exchange.start(200, stream.headers)
    splitter = EventSplitter()
    try:
        async with aclosing(stream.chunks) as chunks:
            async for chunk in chunks:
                if passed := b"".join(_pass(event, call, reading) for event in splitter.feed(chunk)):
                    await exchange.write(passed)
        last = _pass(splitter.rest(), call, reading)
        reading.ended = True
    except Problem as problem:
        _log.warning("stream broke", tenant=call.caller.tenant, code=problem.code, cause=repr(problem.__cause__))
        last = error_event(call.dialect, problem)
    await exchange.end(last)


def _pass(event: Event, call: Call, reading: Reading) -> bytes:
    """The event's bytes; none where it only tells the usage, which this client didn't ask for and may not expect."""
    reading.hear(event.raw)
    payload = usage_payload(event)
    if payload is None:
        return event.raw
    reading.note(payload)
    return b"" if call.hides_usage and payload.get("choices") == [] else event.raw
