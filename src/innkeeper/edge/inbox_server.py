"""The inbox's listener: Caddy brings webhooks to it on a unix socket, and whoever sent one is told once it is kept."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from innkeeper.core.errors import Invalid, Problem, TooLarge
from innkeeper.core.inbox import Inbox
from innkeeper.core.messages import Payload
from innkeeper.edge.sockets import bind_private
from innkeeper.edge.tickets import Ticket, read_ticket
from innkeeper.problems import MEDIA_TYPE, document, retry_after_s, status_of

log = structlog.get_logger(__name__)

AT_ONCE = 100
"""So many requests of one tenant's are taken in at once, for each may hold a whole body; Telegram opens at most 100."""
BODY_WITHIN_S = 30.0
READ_MAX = 64 << 20
"""So much of a body that is too large is read before the sender is left to itself."""
HEAD_MAX = 32 * 1024
"""Half of what Caddy takes, for the courier adds to it."""
_BACKLOG = 1024
_NOT_KEPT = frozenset(
    {"authorization", "connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding",
     "upgrade", "proxy-authorization", "proxy-connection", "via"}
)  # fmt: skip
"""What belongs to one connection and not to the message; the sender's own Authorization comes with the ticket."""


class InboxServer:
    """Listens for Caddy from `open` to `close`."""

    def __init__(self, inbox: Inbox, *, path: Path, body_limit: int) -> None:
        self._inbox = inbox
        self._path = path
        self._body_limit = body_limit
        self._taking: Counter[str] = Counter()
        self._config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        self._config.load()
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Start to listen."""
        listener = bind_private(self._path, backlog=_BACKLOG)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._protocol, sock=listener, backlog=_BACKLOG)

    async def close(self) -> None:
        """Break off: whoever hasn't been answered sends again, and is known by the message's id."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        for connection in tuple(self._state.connections):
            connection.transport.close()
        self._server = None

    def taking(self, tenant: str) -> int:
        """How many of a tenant's requests are being taken in."""
        return self._taking[tenant]

    def _protocol(self) -> asyncio.Protocol:
        return HttpToolsProtocol(config=self._config, server_state=self._state, app_state={})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):  # cut off by `close`
            try:
                added = await self._take(scope, receive)
            except Problem as problem:
                await _refuse(problem, send)
            except _Left:
                return
            except Exception:
                log.exception("inbox_fault")
                await _refuse(Problem("Something went wrong in the inbox."), send)
            else:
                await _answer(200, {"ok": True} if added else {"ok": True, "duplicate": True}, send)

    async def _take(self, scope: Scope, receive: Receive) -> bool:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        ticket = read_ticket(headers.get("authorization", "").encode("latin-1"))
        if ticket is None or scope["method"] != "POST":
            raise Invalid("That isn't from the gate.")
        if len(scope["query_string"]) + sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_MAX:
            raise TooLarge(f"Query and headers are larger than {HEAD_MAX >> 10} KiB.")
        if self._taking[ticket.tenant] >= AT_ONCE:
            raise self._inbox.full(f"{ticket.tenant} is being sent more than {AT_ONCE} messages at once.")
        self._taking[ticket.tenant] += 1
        try:
            payload = _payload(scope, ticket, await self._body(headers, receive))
            return await self._inbox.accept(ticket.tenant, ticket.tenant_id, ticket.at, payload)
        finally:
            self._taking[ticket.tenant] -= 1
            self._taking += Counter()  # drops those at zero

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        """All of it. What is too large is read on for a while, and thrown away: a sender that is still sending when the
        connection is closed sees that, and not our answer."""
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > READ_MAX:
            raise self._too_large()
        body, got = bytearray(), 0
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Left
                    piece = message.get("body", b"")
                    got += len(piece)
                    is_over = got > READ_MAX or not message.get("more_body")
                    if got <= self._body_limit:
                        body += piece
                    elif is_over:
                        raise self._too_large()
                    if is_over:
                        return bytes(body)
        except TimeoutError:
            if got > self._body_limit:
                raise self._too_large() from None
            raise Invalid(f"The body didn't come within {BODY_WITHIN_S:g} s.") from None

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._body_limit / (1 << 20):.3g} MB.")


class _Left(Exception):
    """The client went away before all of its message was here."""


def _payload(scope: Scope, ticket: Ticket, body: bytes) -> Payload:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    kept = [(name, value) for name, value in headers if name not in _NOT_KEPT]
    if ticket.authorization:
        kept.append(("authorization", ticket.authorization))
    query = scope["query_string"].decode("latin-1")
    return Payload(method=scope["method"], query=query, headers=tuple(kept), body=body)


async def _refuse(problem: Problem, send: Send) -> None:
    again_s = retry_after_s(problem)
    headers = [(b"retry-after", str(again_s).encode())] if again_s else []
    await _answer(status_of(problem), document(problem), send, kind=MEDIA_TYPE, headers=headers)


async def _answer(
    status: int, said: dict[str, Any], send: Send, *, kind: str = "application/json", headers: list[Any] | None = None
) -> None:
    raw = json.dumps(said).encode()
    head = [(b"content-type", kind.encode()), (b"content-length", str(len(raw)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": raw})
