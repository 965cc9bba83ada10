"""A tenant's agent on a loopback port that remembers every whole request, and answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from tests.support.serving import serving


@dataclass(frozen=True, kw_only=True)
class Got:
    """A request, as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Got], Awaitable[int]]


@dataclass
class Recorder:
    """The ASGI application."""

    got: list[Got] = field(default_factory=list)
    broken_off: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Answer | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.broken_off += 1
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        got = Got(
            method=scope["method"],
            path=scope["raw_path"].decode(),
            query=scope["query_string"].decode(),
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            body=body,
        )
        self.got.append(got)
        self.arrived.set()
        status = await self.answer(got) if self.answer else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"thank you"})


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[Recorder, str]]:
    """The agent, and its `host:port`."""
    recorder = Recorder()
    async with serving(recorder) as url:
        yield recorder, url.removeprefix("http://")
