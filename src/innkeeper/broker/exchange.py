"""One HTTP request and its answer over ASGI, within bounds of size and patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from innkeeper.core.errors import TooLarge

BODY_LIMIT = 32 * 1024 * 1024
"""As much as Anthropic takes."""
_DISCARD_LIMIT = 2 * BODY_LIMIT
_SILENCE_S = 60.0
"""How long a client may pause while it sends its request."""
_STALL_S = 300.0
"""How long a client may leave its answer unread."""

Headers = Sequence[tuple[bytes, bytes]]
JSON: Headers = ((b"content-type", b"application/json"),)


class ClientGone(Exception):
    """The client hung up, or stopped talking and listening: nobody is left to answer."""


class Exchange:
    """A request to read from and an answer to write; the peer's address is the connection's, never a header's."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        """The path as it was sent, with its escapes."""
        self.query: bytes = scope["query_string"]
        self.address: str = scope["client"][0] if scope.get("client") else ""
        self.raw_headers: Headers = scope["headers"]
        self.headers: Mapping[str, str] = _first_of_each(scope["headers"])
        self._scope = scope
        self._receive = receive
        self._send = send
        self._received = self.size == 0

    @property
    def size(self) -> int | None:
        """How long the body will be, where the client says so."""
        length = self.headers.get("content-length")
        if length is not None:
            return int(length)
        return None if "transfer-encoding" in self.headers else 0

    async def body(self) -> bytes:
        """The whole body, or TooLarge as soon as that is known."""
        too_large = TooLarge(f"The body is larger than {BODY_LIMIT // 1024 // 1024} MB.")
        if (self.size or 0) > BODY_LIMIT:
            raise too_large
        body = bytearray()
        async for part in self._parts():
            if len(body) + len(part) > BODY_LIMIT:
                raise too_large
            body += part
        return bytes(body)

    async def discard(self) -> None:
        """Let the rest of the body go by: a client that still sends can't read why it was refused."""
        discarded = 0
        async for part in self._parts():
            discarded += len(part)
            if discarded > _DISCARD_LIMIT:
                return

    async def start(self, status: int, headers: Headers) -> None:
        """Begin the answer."""
        # What is left of a body would be taken for the next request.
        closing = () if self._received else ((b"connection", b"close"),)
        await self._tell({"type": "http.response.start", "status": status, "headers": [*headers, *closing]})

    async def write(self, part: bytes) -> None:
        """Send a part of the answer on at once."""
        await self._tell({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self, part: bytes = b"") -> None:
        """Send the last part."""
        await self._tell({"type": "http.response.body", "body": part})

    async def answer(self, status: int, body: bytes, headers: Headers = JSON) -> None:
        """A whole answer."""
        await self.start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self.end(body)

    def handed_on(self, body: bytes) -> tuple[Scope, Receive, Send]:
        """The exchange for another application to answer, with the body that was read."""
        left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return left.pop() if left else await self._receive()

        return self._scope, receive, self._send

    async def unless_gone(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, but drop it the moment that the client hangs up: nobody pays for what nobody reads."""
        job, gone = asyncio.create_task(work), asyncio.create_task(self._gone())
        try:
            await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
            if job.done():
                job.result()
        finally:
            job.cancel()
            gone.cancel()
            await asyncio.gather(job, gone, return_exceptions=True)

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _parts(self) -> AsyncIterator[bytes]:
        while not self._received:
            try:
                async with asyncio.timeout(_SILENCE_S):
                    message = await self._receive()
            except TimeoutError:
                raise ClientGone from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._received = not message.get("more_body", False)
            yield message.get("body", b"")

    async def _tell(self, message: Message) -> None:
        try:
            async with asyncio.timeout(_STALL_S):
                await self._send(message)
        except TimeoutError:
            raise ClientGone from None


def _first_of_each(headers: Headers) -> dict[str, str]:
    first: dict[str, str] = {}
    for name, value in headers:
        first.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return first
