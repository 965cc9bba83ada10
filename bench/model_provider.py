"""A provider that streams as a model does, the first word at once, then one every 20 ms, on as little processor as can
be."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

WORDS = 20
EVERY_S = 0.02
"""Fifty words a second, which is what hosted models give one stream."""
_BASE = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _chunk(payload: object) -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    event = f"data: {text}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


_WORD = _chunk({**_BASE, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]})
_LAST = _chunk({**_BASE, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
_USAGE = _chunk(
    {**_BASE, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": WORDS, "total_tokens": 9 + WORDS}}
)
_END = b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """One request at a time, which may come in pieces."""

    _transport: asyncio.Transport
    _streaming: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head, blank, body = self._pending.partition(b"\r\n\r\n")
        if not blank:
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) >= length:
            self._pending = b""
            self._streaming = asyncio.create_task(self._stream(b'"include_usage"' in body))

    async def _stream(self, usage: bool) -> None:
        self._transport.write(_HEAD + _WORD)
        for _ in range(WORDS - 1):
            await asyncio.sleep(EVERY_S)
            self._transport.write(_WORD)
        self._transport.write(_LAST + (_USAGE if usage else b"") + _chunk("[DONE]") + _END)


async def serve(host: str, port: int) -> None:
    """Answer until killed."""
    server = await asyncio.get_running_loop().create_server(_Connection, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
