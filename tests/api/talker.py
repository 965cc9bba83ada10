"""An agent to talk to."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.types import Receive, Scope, Send


class Talker:
    """An agent that answers in two words, the second one when it is allowed to."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.headers: dict[bytes, bytes] = {}
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.left = asyncio.Event()
        self.answer: bytes | None = None
        self.status = 200
        self.kind = b"text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.asked, self.headers = json.loads(body), dict(scope["headers"])
        headers = [(b"content-type", self.kind)]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if self.answer is not None:
            await send({"type": "http.response.body", "body": self.answer})
            return
        await self._say(send, {"choices": [{"delta": {"role": "assistant"}}]})
        await self._say(send, {"choices": [{"delta": {"content": "Hello "}}]})
        gone = asyncio.ensure_future(receive())
        going_on = asyncio.create_task(self.go_on.wait())
        await asyncio.wait([gone, going_on], return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.left.set()
            going_on.cancel()
            return
        gone.cancel()
        await self._say(send, {"choices": [{"delta": {"content": "wörld"}, "finish_reason": "stop"}]})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _say(self, send: Send, piece: object) -> None:
        await send({"type": "http.response.body", "body": f"data: {json.dumps(piece)}\n\n".encode(), "more_body": True})
