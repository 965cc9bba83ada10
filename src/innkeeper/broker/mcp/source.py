"""One server of one tenant, and what is known of it: its connection, its tools, its last error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import mcp_types as types
from mcp.shared.dispatcher import ProgressFnT

from innkeeper.broker.mcp.catalogue import Shelf, shelf_of
from innkeeper.broker.mcp.line import Connect, Line, Listed
from innkeeper.broker.mcp.problems import ToolServerTimeout, ToolSessionOver
from innkeeper.broker.mcp.servers import Server
from innkeeper.core.errors import Problem
from innkeeper.core.events import utc_now
from innkeeper.core.uses import McpServer

LIST_S = 8.0
"""How long a server may take to say what it has: agents wait for all of a tenant's servers together."""
FRESH_S = 60.0
"""For so long it isn't asked again."""
FAILED_FRESH_S = 15.0
"""For so long one that took its time to fail isn't asked again, so that it doesn't hold up every listing."""
SLOW_S = 1.0
"""What fails faster is tried again each time: what was wrong may have been mended."""

_Answer = TypeVar("_Answer")


class Source:
    """Opens a line when it has none."""

    def __init__(self, server: Server, connect: Connect, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.server = server
        self.last_error: tuple[datetime, Problem] | None = None
        self._connect = connect
        self._clock = clock
        self._line: Line | None = None
        self._listed: Listed | None = None
        self._listed_at = 0.0
        self._failure: Problem | None = None
        self._failed_at = 0.0
        self._sorted: tuple[Listed, McpServer, Shelf] | None = None
        self._listing = asyncio.Lock()

    async def shelf(self, *, max_age_s: float = FRESH_S) -> Shelf:
        """What the server has for the agent; several who ask at once make one request.

        Raises the Problem that there was, and for a moment the same one again.
        """
        async with self._listing:
            listed = self._listed
            if listed is None or self._clock() - self._listed_at > max_age_s:
                listed = await self._list()
        if self._sorted is None or self._sorted[0] is not listed or self._sorted[1] != self.server.spec:
            self._sorted = listed, self.server.spec, shelf_of(self.server, listed)
        return self._sorted[2]

    async def call(self, tool: str, arguments: Mapping[str, Any], progress: ProgressFnT | None) -> types.CallToolResult:
        """Call one of the server's tools by its own name."""
        try:
            return await self._again_if_over(lambda line: line.call_tool(tool, arguments, progress))
        except Problem as problem:
            self.last_error = utc_now(), problem
            raise

    def close(self) -> None:
        """Let go of the connection as soon as nobody needs it."""
        self._drop_line()

    async def end(self) -> None:
        """Cut the connection off."""
        if self._line is not None:
            await self._line.end()

    async def _again_if_over(self, what: Callable[[Line], Awaitable[_Answer]]) -> _Answer:
        """Once more on a new line where the server had forgotten the session: it has done nothing then."""
        with suppress(ToolSessionOver):
            return await what(self._live())
        return await what(self._live())

    def _live(self) -> Line:
        if self._line is None or self._line.over:
            self._line = self._connect(self.server)
        return self._line

    def _drop_line(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _list(self) -> Listed:
        began = self._clock()
        if self._failure is not None and began - self._failed_at <= FAILED_FRESH_S:
            raise self._failure
        # Tools that were there a minute ago aren't listed from memory: to call them would only fail.
        self._listed = None
        try:
            async with asyncio.timeout(LIST_S):
                listed = await self._again_if_over(lambda line: line.list_tools())
        except TimeoutError:
            self._drop_line()
            problem = ToolServerTimeout(f"{self.server.name} doesn't say what it has.", hint="Try again shortly.")
            raise self._failed(problem, began) from None
        except Problem as problem:
            raise self._failed(problem, began) from None
        self._listed, self._listed_at, self._failure = listed, self._clock(), None
        return listed

    def _failed(self, problem: Problem, began: float) -> Problem:
        self._failed_at = self._clock()
        self._failure = problem if self._failed_at - began >= SLOW_S else None
        self.last_error = utc_now(), problem
        return problem
