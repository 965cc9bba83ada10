"""Carries requests of the MCP library to one server: puts credentials on, and keeps its answers within bounds.

The library reads JSON answers whole, streams for as long as they last, and ends a connection with all its calls when
an exception comes out of one of them. So nothing here raises: whatever goes wrong becomes an error answer to just the
request that it happened to, and `problem_of` gives back what it was.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx2
import structlog

from innkeeper.broker.mcp.credentials import Credentials, Filled
from innkeeper.broker.mcp.problems import (
    ToolAnswerTooLarge,
    ToolServerFault,
    ToolServerRefused,
    ToolServerTimeout,
    ToolServerUnreachable,
    ToolSessionOver,
)
from innkeeper.broker.mcp.servers import Server
from innkeeper.broker.redaction import Redactor
from innkeeper.core.errors import Problem

_log = structlog.get_logger(__name__)

ANSWER_LIMIT = 4 * 1024 * 1024
"""Bytes of one answer, with all that a stream says before it; a picture fits in."""
MARKS_LIMIT = 100_000
"""Commas and opening brackets in it: many small values take far longer to read than their bytes tell, and everybody
else waits meanwhile. 10,000 tools have some 60,000."""
EVENTS_LIMIT = 10_000
"""Events in one stream: a server that asks or reports without end is cut off."""
CALL_S = 120.0
"""How long an answer may take in all, whatever the server says meanwhile."""
NOTICE_S = 5.0
"""The same for what isn't answered; other calls of the tenant at that server wait behind it."""
_CONNECT_S = 10.0
_ERROR_LIMIT = 64 * 1024
_SHORTEST_SECRET = 6
_ERROR_CODE = -32050  # of those that JSON-RPC leaves to servers
_KEPT = 256
_PASSED = ("content-type", "mcp-session-id")


class Carrier(httpx2.AsyncBaseTransport):
    """The transport of one connection's own HTTP client; the real connections are `client`'s."""

    def __init__(self, server: Server, *, client: httpx2.AsyncClient, credentials: Credentials) -> None:
        self._server = server
        self._client = client
        self._credentials = credentials
        self._problems: OrderedDict[str, Problem] = OrderedDict()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The server's answer, or an error answer in its place."""
        if request.method == "GET":  # a stream of what nobody asked for
            return httpx2.Response(405)
        awaited = request.method == "POST" and b'"method":' in request.content and b'"id":' in request.content
        deadline = asyncio.get_running_loop().time() + (CALL_S if awaited else NOTICE_S)
        try:
            async with asyncio.timeout_at(deadline):
                filled = await self._credentials.fill(self._server)
                answer = await self._send(request, filled)
                try:
                    return await self._read(request, answer, filled, deadline)
                except BaseException:
                    await answer.aclose()
                    raise
        except TimeoutError:
            return self._failed(self._too_late())
        except Problem as problem:
            return self._failed(problem)

    def problem_of(self, data: Any) -> Problem | None:
        """What an error answer of ours stands for, by its `data`."""
        return self._problems.get(data) if isinstance(data, str) else None

    async def _send(self, request: httpx2.Request, filled: Filled) -> httpx2.Response:
        headers = {
            **{name: value for name, value in request.headers.items() if name not in ("host", "user-agent")},
            "user-agent": "innkeeper",
            "accept-encoding": "identity",
            **filled.headers,
        }
        timeout = httpx2.Timeout(CALL_S, connect=_CONNECT_S)
        try:
            sent = self._client.build_request(
                request.method, request.url, content=request.content, headers=headers, timeout=timeout
            )
            return await self._client.send(sent, stream=True, follow_redirects=False)
        except httpx2.TimeoutException as error:
            raise self._too_late() from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ToolServerUnreachable(f"The connection to {self._server.name} failed.") from error

    async def _read(
        self, request: httpx2.Request, answer: httpx2.Response, filled: Filled, deadline: float
    ) -> httpx2.Response:
        name, status = self._server.name, answer.status_code
        headers = {each: answer.headers[each] for each in _PASSED if each in answer.headers}
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if status in (401, 403):
            raise ToolServerRefused(f"{name} answered {status} to the credential.")
        if 300 <= status < 400:
            raise ToolServerFault(f"{name} answered {status}; redirects aren't followed.")
        if status == 404 and "mcp-session-id" in request.headers:
            raise ToolSessionOver(f"{name} has forgotten its session.")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise ToolServerFault(f"{name} compressed its answer unasked.")
        if status == 200 and kind == "text/event-stream":
            return httpx2.Response(200, headers=headers, stream=_Events(self._events(answer, filled, deadline)))
        whole = kind == "application/json"
        limit = ANSWER_LIMIT if status == 200 else _ERROR_LIMIT
        body = b"".join([part async for part in self._bounded(answer, filled, limit)]) if whole else b""
        await answer.aclose()
        if status >= 400 and not (whole and b'"error"' in body):
            raise ToolServerFault(f"{name} answered {status}.")
        if status == 200 and not whole and request.method == "POST":
            raise ToolServerFault(f"{name} answered with {kind[:60] or 'no content type'} where JSON was due.")
        return httpx2.Response(status, headers=headers, content=body)

    async def _events(self, answer: httpx2.Response, filled: Filled, deadline: float) -> AsyncGenerator[bytes, None]:
        """The stream; one that breaks, or breaks a bound, ends with an error event."""
        try:
            async with aclosing(self._bounded(answer, filled)) as parts:
                while (part := await self._next(parts, deadline)) is not None:
                    yield part
        except Problem as problem:
            yield self._last_event(problem)
        finally:
            await answer.aclose()

    async def _next(self, parts: AsyncGenerator[bytes, None], deadline: float) -> bytes | None:
        try:
            async with asyncio.timeout_at(deadline):
                return await anext(parts, None)
        except TimeoutError:
            raise self._too_late() from None

    async def _bounded(
        self, answer: httpx2.Response, filled: Filled, limit: int = ANSWER_LIMIT
    ) -> AsyncGenerator[bytes, None]:
        """The body without the credentials in it; raises ToolAnswerTooLarge and ToolServerUnreachable."""
        redactor = Redactor(*(secret for secret in filled.secrets if len(secret) >= _SHORTEST_SECRET))
        size = marks = events = 0
        try:
            async for part in answer.aiter_raw():
                size += len(part)
                marks += part.count(b",") + part.count(b"{") + part.count(b"[")
                events += part.count(b"data:")
                if size > limit or marks > MARKS_LIMIT or events > EVENTS_LIMIT:
                    raise ToolAnswerTooLarge(f"{self._server.name} answered more than can be passed on.")
                if clean := redactor.feed(part):
                    yield clean
        except httpx2.TimeoutException as error:
            raise self._too_late() from error
        except httpx2.HTTPError as error:
            raise ToolServerUnreachable(f"The connection to {self._server.name} broke.") from error
        if rest := redactor.rest():
            yield rest

    def _too_late(self) -> ToolServerTimeout:
        return ToolServerTimeout(f"{self._server.name} took too long.")

    def _failed(self, problem: Problem) -> httpx2.Response:
        return httpx2.Response(502, headers={"content-type": "application/json"}, content=self._error(problem))

    def _last_event(self, problem: Problem) -> bytes:
        # What was cut off in mid-event becomes an event that nobody knows.
        return b"\nevent: cut\n\nevent: message\ndata: " + self._error(problem) + b"\n\n"

    def _error(self, problem: Problem) -> bytes:
        told = secrets.token_hex(8)
        self._problems[told] = problem
        if len(self._problems) > _KEPT:
            self._problems.popitem(last=False)
        _log.info(
            "server of tools failed",
            tenant=self._server.tenant.name, server=self._server.name, code=problem.code, cause=repr(problem.__cause__),
        )  # fmt: skip
        error = {"code": _ERROR_CODE, "message": problem.message, "data": told}
        return json.dumps({"jsonrpc": "2.0", "id": 0, "error": error}).encode()


class _Events(httpx2.AsyncByteStream):
    """A stream made of parts."""

    def __init__(self, parts: AsyncGenerator[bytes, None]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._parts:
            yield part

    async def aclose(self) -> None:
        """Let go of the answer, read or not."""
        await self._parts.aclose()
