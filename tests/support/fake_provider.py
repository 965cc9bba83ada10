"""A model provider for tests: speaks both protocols for real, does as it is told, remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from tests.support.serving import serving

EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that reached the provider."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: Any


class Reply:
    """How a script answers."""

    def __init__(self, asked: Asked, receive: Receive, send: Send) -> None:
        self.asked = asked
        self._receive = receive
        self._send = send

    async def start(self, status: int = 200, content_type: str = EVENT_STREAM, **headers: str) -> None:
        """Send the head; header names take `_` for `-`."""
        named = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
        encoded = [(name.encode(), value.encode()) for name, value in named.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, *parts: bytes) -> None:
        """Send parts, each by itself."""
        for part in parts:
            await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self, part: bytes = b"") -> None:
        """Send the last part. A script that returns without this breaks the connection."""
        await self._send({"type": "http.response.body", "body": part})

    async def hung_up(self) -> None:
        """Wait until the caller is gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


Script = Callable[[Reply], Awaitable[None]]


class FakeProvider:
    """The ASGI application; `script` decides what the next calls get."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: Script = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        asked = Asked(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"],
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            body=json.loads(body) if body else None,
        )
        self.asked.append(asked)
        await self.script(Reply(asked, receive, send))


@asynccontextmanager
async def fake_provider() -> AsyncIterator[tuple[FakeProvider, str]]:
    """The provider and its URL, without `/v1`."""
    provider = FakeProvider()
    async with serving(provider) as url:
        yield provider, url


# --- what it says -----------------------------------------------------------------------------------------------------

OPENAI_USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
OPENAI_CACHED = {"prompt_tokens_details": {"cached_tokens": 4}}


def openai_events(*, usage: bool, words: Iterable[str] = ("Hello", " there", ".")) -> list[bytes]:
    """The chunks of a chat completion, word by word."""
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    extra = {"usage": None} if usage else {}
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}], **extra}
        for word in words
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **extra})
    if usage:
        chunks.append({**base, "choices": [], "usage": {**OPENAI_USAGE, **OPENAI_CACHED}})
    return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"]


def openai_tool_call(tool: str, arguments: Mapping[str, Any], *, usage: bool) -> list[bytes]:
    """The chunks of an answer that calls a tool."""
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    function = {"name": tool, "arguments": json.dumps(arguments)}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    chunks: list[dict[str, Any]] = [
        {
            **base,
            "choices": [{"index": 0, "delta": {"role": "assistant", "tool_calls": [call]}, "finish_reason": None}],
        },
        {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    ]
    if usage:
        chunks.append({**base, "choices": [], "usage": OPENAI_USAGE})
    return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"]


def anthropic_events(words: Iterable[str] = ("Hello", " there", ".")) -> list[bytes]:
    """The events of a message, word by word."""
    cached = {"cache_read_input_tokens": 4, "cache_creation_input_tokens": 2}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "fake", "content": []}
    payloads: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "usage": {"input_tokens": 7, "output_tokens": 1, **cached}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in words),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    return [f"event: {payload['type']}\ndata: {json.dumps(payload)}\n\n".encode() for payload in payloads]


def events_for(asked: Asked) -> list[bytes]:
    """The whole stream that suits the request."""
    if asked.path.endswith("/messages"):
        return anthropic_events()
    return openai_events(usage=bool((asked.body.get("stream_options") or {}).get("include_usage")))


def whole_for(asked: Asked) -> dict[str, Any]:
    """The answer without a stream that suits the request."""
    if asked.path.endswith("/count_tokens"):
        return {"input_tokens": 7}
    if asked.path.endswith("/messages"):
        content = [{"type": "text", "text": "Hello there."}]
        return {"id": "m1", "type": "message", "content": content, "usage": {"input_tokens": 7, "output_tokens": 3}}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello there."}, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "choices": [choice], "usage": OPENAI_USAGE}


# --- scripts ----------------------------------------------------------------------------------------------------------


async def answers(reply: Reply) -> None:
    """Answer as a provider should."""
    if reply.asked.body.get("stream"):
        await reply.start()
        await reply.write(*events_for(reply.asked))
        await reply.end()
    else:
        await reply.start(content_type="application/json")
        await reply.end(json.dumps(whole_for(reply.asked)).encode())


def calls_tool(ending: str, arguments: Mapping[str, Any]) -> Script:
    """Call the tool whose name ends so, once, and then say what it said; it is searched for where the agent has models
    do that. Streams in OpenAI's protocol alone."""

    async def script(reply: Reply) -> None:
        body = reply.asked.body
        assert body.get("stream")
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        results = [json.dumps(each["content"]) for each in body["messages"] if each["role"] == "tool"]
        names = [each["function"]["name"] for each in body.get("tools", ())]
        direct = next((name for name in names if name.endswith(ending)), None)
        searched = "tool_search" in names and not direct
        await reply.start()
        if searched and not results:
            events = openai_tool_call("tool_search", {"query": ending.replace("_", " ")}, usage=usage)
        elif searched and len(results) == 1:
            found = re.search(rf"[\w:-]*{ending}\b", results[0])
            called = {"id": found[0] if found else "nothing", "args": arguments}
            events = openai_tool_call("tool_call", called, usage=usage)
        elif results:
            events = openai_events(usage=usage, words=("The tool says: ", results[-1]))
        elif direct:
            events = openai_tool_call(direct, arguments, usage=usage)
        else:
            events = openai_events(usage=usage, words=("There is no such tool.",))
        await reply.write(*events)
        await reply.end()

    return script


class Gated:
    """Streams the first event, then waits to be told; knows when the caller went away instead."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.began = asyncio.Event()
        self.abandoned = asyncio.Event()

    async def __call__(self, reply: Reply) -> None:
        """The script."""
        events = events_for(reply.asked)
        await reply.start()
        await reply.write(events[0])
        self.began.set()
        go, gone = asyncio.create_task(self.go.wait()), asyncio.create_task(reply.hung_up())
        try:
            await asyncio.wait({go, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                self.abandoned.set()
                return
        finally:
            go.cancel()
            gone.cancel()
        await reply.write(*events[1:])
        await reply.end()


class Hanging:
    """Never answers; knows when the caller gave up."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.abandoned = asyncio.Event()

    async def __call__(self, reply: Reply) -> None:
        """The script."""
        self.began.set()
        await reply.hung_up()
        self.abandoned.set()


def refuses(status: int, body: bytes, *, content_type: str = "application/json", **headers: str) -> Script:
    """Answer with an error."""

    async def script(reply: Reply) -> None:
        await reply.start(status, content_type, **headers)
        await reply.end(body)

    return script


def says(*parts: bytes, content_type: str = EVENT_STREAM, breaks: bool = False, **headers: str) -> Script:
    """Answer 200 with exactly these parts; `breaks` the connection after them."""

    async def script(reply: Reply) -> None:
        await reply.start(200, content_type, **headers)
        await reply.write(*parts)
        if not breaks:
            await reply.end()

    return script


def redirects(to: str) -> Script:
    """Point elsewhere."""
    return refuses(307, b"", content_type="text/plain", location=to)
