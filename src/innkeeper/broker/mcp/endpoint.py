"""The tenant's side: an MCP server over streamable HTTP, made anew for each request.

So there are no sessions, and nothing that one tenant could see of another. What a session would be good for, word of
a changed list, agents don't get: the stream that it comes on would be an open connection for as long as the agent runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib.metadata import version

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from innkeeper.broker.exchange import BODY_LIMIT, Exchange
from innkeeper.broker.marks import COMMAS_LIMIT, is_readable
from innkeeper.broker.mcp.carrier import CALL_S
from innkeeper.broker.mcp.toolbox import Toolbox
from innkeeper.core.errors import Problem, TooLarge
from innkeeper.core.tenant import Tenant

_PROGRESS_EVERY_S = 0.5
"""Word of progress that comes faster is dropped: nobody reads it."""
_REQUEST_S = CALL_S + 60.0
_VERSION = version("innkeeper")

_Context = ServerRequestContext[object, object]


class Endpoint:
    """Speaks MCP with agents."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox

    async def serve(self, tenant: Tenant, exchange: Exchange, knock: Callable[[], None]) -> None:
        """Answer one request of the tenant's agent. `knock` lets a call of a tool pass, or raises a Problem."""
        body = await exchange.body()
        if not is_readable(body):
            raise TooLarge("The body holds too many values.", hint=f"Send at most {COMMAS_LIMIT} in one call.")
        scope, receive, send = exchange.handed_on(body)
        # Neither Host nor Origin is judged: who has the tenant's token at the tenant's address is no page in a browser.
        manager = StreamableHTTPSessionManager(
            self._server(tenant, knock), stateless=True, max_request_body_size=BODY_LIMIT
        )
        async with asyncio.timeout(_REQUEST_S), manager.run():
            await manager.handle_request(scope, receive, send)

    def _server(self, tenant: Tenant, knock: Callable[[], None]) -> Server[object]:
        async def list_tools(context: _Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
            # All on one page: some agents read no other.
            offers = await self._toolbox.offers(tenant)
            return types.ListToolsResult(tools=[offer.shown() for offer in offers.values()])

        async def call_tool(context: _Context, params: types.CallToolRequestParams) -> types.CallToolResult:
            try:
                knock()
                return await self._toolbox.call(tenant, params.name, params.arguments or {}, _Reporter(context))
            except Problem as problem:
                # As a result, so that the model is told; agents keep an error of the protocol's to themselves.
                said = types.TextContent(type="text", text=f"{problem.message} {problem.hint}".strip())
                return types.CallToolResult(content=[said], is_error=True)

        return Server("innkeeper", version=_VERSION, on_list_tools=list_tools, on_call_tool=call_tool)


class _Reporter:
    def __init__(self, context: _Context) -> None:
        self._context = context
        self._last_at = float("-inf")

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Pass the server's word on, if the agent wants it."""
        now = time.monotonic()
        if now - self._last_at >= _PROGRESS_EVERY_S:
            self._last_at = now
            await self._context.session.report_progress(progress, total, message)
