"""A connection to one server of tools for one tenant: opened when it is needed, closed when it isn't any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

import httpx2
import mcp_types as types
from mcp import MCPError
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.dispatcher import ProgressFnT
from pydantic import TypeAdapter, ValidationError

from innkeeper.broker.mcp.carrier import ANSWER_LIMIT, Carrier
from innkeeper.broker.mcp.credentials import Credentials
from innkeeper.broker.mcp.problems import (
    ToolServerFault,
    ToolServerTimeout,
    ToolServerUnreachable,
    ToolSessionOver,
)
from innkeeper.broker.mcp.servers import Server
from innkeeper.core.errors import Problem

OPEN_S = 15.0
IDLE_S = 300.0
LISTED_MAX = 10_000
"""Tools that are read of one server; of the pages that come after so many nothing is known."""
PAGES_MAX = 100
LISTED_BYTES = ANSWER_LIMIT
"""Of all pages together: what was read is kept, of every tenant's every server."""
_WORDS_MAX = 2000
_VERSION = version("innkeeper")
_RESULT: TypeAdapter[types.CallToolResult | types.InputRequiredResult] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)


_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """All that a server says it has."""

    tools: tuple[types.Tool, ...]
    whole: bool
    """False: there were more than are read."""


class Line:
    """Held by a task of its own, for the library wants its connections closed where they were opened."""

    def __init__(self, server: Server, carrier: Carrier) -> None:
        self._name = server.name
        self._url = server.spec.url
        self._carrier = carrier
        self._opened: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._touched = asyncio.Event()
        self._in_use = 0
        self._closing = False
        self._task = asyncio.create_task(self._hold(), name=f"tools-{server.tenant.name}-{server.name}")

    @property
    def over(self) -> bool:
        """Whether another one is needed."""
        return self._closing or self._task.done()

    async def list_tools(self) -> Listed:
        """All pages of the server's tools, as far as they are read."""
        tools: list[types.Tool] = []
        cursor: str | None = None
        size = 0
        for _ in range(PAGES_MAX):
            params = types.PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await self._ask(lambda session, params=params: session.list_tools(params=params))  # type: ignore[misc]
            tools += page.tools
            cursor = page.next_cursor
            size += sum(len(tool.model_dump_json()) for tool in page.tools) if cursor else 0
            if not cursor or len(tools) >= LISTED_MAX or size >= LISTED_BYTES:
                break
        return Listed(tools=tuple(tools[:LISTED_MAX]), whole=not cursor and len(tools) <= LISTED_MAX)

    async def call_tool(
        self, tool: str, arguments: Mapping[str, Any], progress: ProgressFnT | None
    ) -> types.CallToolResult:
        """The tool's own answer. Not the library's call: that checks it against a schema that the server made up."""
        params = types.CallToolRequestParams(name=tool, arguments=dict(arguments))
        request = types.CallToolRequest(params=params)
        result = await self._ask(lambda session: session.send_request(request, _RESULT, progress_callback=progress))
        if isinstance(result, types.InputRequiredResult):
            raise ToolServerFault(f"{self._name} asks for something that nobody here can give.", hint="")
        return result

    def close(self) -> None:
        """Take no more, and end as soon as what is under way has ended; one that isn't open yet, at once."""
        self._closing = True
        self._touched.set()
        if not self._opened.done():
            self._task.cancel()

    async def end(self) -> None:
        """Cut it off."""
        self.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _ask(self, what: Callable[[ClientSession], Awaitable[_Answer]]) -> _Answer:
        self._in_use += 1
        try:
            return await what(await self._session())
        except MCPError as error:
            raise self._problem(error) from None
        except (ValidationError, ValueError, RuntimeError, RecursionError) as error:
            raise ToolServerFault(f"{self._name} answered something that is no answer.") from error
        finally:
            self._in_use -= 1
            self._touched.set()

    async def _session(self) -> ClientSession:
        try:
            async with asyncio.timeout(OPEN_S):
                return await asyncio.shield(self._opened)
        except TimeoutError:
            self.close()
            raise ToolServerTimeout(f"{self._name} doesn't answer.", hint="Try again shortly.") from None

    async def _hold(self) -> None:
        http = httpx2.AsyncClient(transport=self._carrier, timeout=None, trust_env=False)
        place = streamable_http_client(self._url, http_client=http, max_sse_event_size=None)
        info = types.Implementation(name="innkeeper", version=_VERSION)
        try:
            async with http, Client(place, cache=None, client_info=info) as client:
                self._opened.set_result(client.session)
                await self._until_idle()
        except Exception as error:
            known = _known(error)
            unknown = ToolServerUnreachable(f"The connection to {self._name} failed.")
            self._fail(self._problem(known) if known else unknown, error)
        finally:
            self._closing = True
            self._fail(ToolServerUnreachable(f"The connection to {self._name} was closed."))

    async def _until_idle(self) -> None:
        while self._in_use or not self._closing:
            self._touched.clear()
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._touched.wait()
            except TimeoutError:
                self._closing = not self._in_use

    def _fail(self, problem: Problem, cause: BaseException | None = None) -> None:
        """Tell those who wait for it to open, if they still do."""
        if not self._opened.done():
            problem.__cause__ = cause
            self._opened.set_exception(problem)
            self._opened.exception()  # nobody may be waiting

    def _problem(self, error: MCPError) -> Problem:
        ours = self._carrier.problem_of(error.error.data)
        if ours is None and error.error.code == types.CONNECTION_CLOSED:
            ours = ToolServerUnreachable(f"The connection to {self._name} broke.")
        if isinstance(ours, ToolSessionOver | ToolServerUnreachable | ToolServerTimeout):
            self.close()
        return ours or ToolServerFault(f"{self._name} says: {error.error.message[:_WORDS_MAX]}", hint="")


Connect = Callable[[Server], Line]
"""Begins a connection; it opens by itself."""


def connector(*, own: httpx2.AsyncClient, house: httpx2.AsyncClient, credentials: Credentials) -> Connect:
    """Connects with `own` to servers in tenants' specs, and with `house` to those in the settings."""

    def connect(server: Server) -> Line:
        client = house if server.house else own
        return Line(server, Carrier(server, client=client, credentials=credentials))

    return connect


def _known(error: BaseException) -> MCPError | None:
    """What the library means to say, out of the groups that it comes in."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _known(each))), None)
    return error if isinstance(error, MCPError) else None
