"""Server-sent events: streams that ping, end when they should, and never hold more than a slow client can take."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from innkeeper.api.admission import Guest
from innkeeper.api.problems import OurBug, document
from innkeeper.core.errors import Problem

PING_S = 15.0
"""Often enough for proxies that drop silent connections; and how soon a revoked key loses its silent streams."""
BUFFERED = 64
FAREWELL_S = 1.0
_PING = b": ping\n\n"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sse:
    """One event: its name, and data that is sent as JSON."""

    event: str
    data: Mapping[str, object]

    def encoded(self) -> bytes:
        """As it goes over the wire; JSON keeps it to one line."""
        return f"event: {self.event}\ndata: {json.dumps(self.data, ensure_ascii=False)}\n\n".encode()


Events = AsyncGenerator[Sse, None]
_Queue = asyncio.Queue[bytes | None]


class EventStream(StreamingResponse):
    """Sends a generator's events until it is exhausted, the client goes, its key is revoked or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, events: Events, *, guest: Guest, stopping: asyncio.Event) -> None:
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events
        self._guest = guest
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything; the generator is closed in any case."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        queue: _Queue = asyncio.Queue(maxsize=BUFFERED)
        pump = asyncio.create_task(_pump(self._events, queue))
        ends: list[asyncio.Task[object]] = [
            asyncio.create_task(self._send_all(queue, send)),
            asyncio.create_task(_disconnected(receive)),
            asyncio.create_task(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pump, *ends):
                task.cancel()
            await asyncio.gather(pump, *ends, return_exceptions=True)
        # Whoever doesn't read any more needn't be waited for.
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(FAREWELL_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, queue: _Queue, send: Send) -> None:
        ended = False
        while not ended:
            chunk, ended = await _batch(queue)
            if not self._guest.is_still_welcome():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _pump(events: Events, queue: _Queue) -> None:
    """Move events into the queue, at the pace at which they are taken out."""
    async with aclosing(events):
        try:
            async for event in events:
                await queue.put(event.encoded())
        except Problem as problem:
            await queue.put(Sse(event="error", data=document(problem)).encoded())
        except Exception:
            log.exception("a stream went wrong")
            bug = OurBug("Something went wrong in the control plane.")
            await queue.put(Sse(event="error", data=document(bug)).encoded())
    await queue.put(None)


async def _batch(queue: _Queue) -> tuple[bytes, bool]:
    """What lies ready, waited for as long as a ping allows, and whether that is the end."""
    try:
        async with asyncio.timeout(PING_S):
            parts = [await queue.get()]
    except TimeoutError:
        return _PING, False
    while not queue.empty():
        parts.append(queue.get_nowait())
    return b"".join(part for part in parts if part is not None), parts[-1] is None


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


STREAM: dict[str, Any] = {
    "status_code": 200,
    "response_class": EventStream,
    "responses": {
        200: {
            "description": "Server-sent events; the `data` of each is a JSON object.",
            "content": {
                EventStream.media_type: {
                    "schema": {
                        "type": "object",
                        "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
                        "required": ["event", "data"],
                    }
                }
            },
        }
    },
}
"""What the decorator of a stream says of its answer."""
