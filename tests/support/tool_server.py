"""A server of tools for tests: the MCP library's own over streamable HTTP, which wants a credential."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.support.serving import serving

CREDENTIAL = "tool-credential-0123456789"
_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}}
Context = ServerRequestContext[Any, Any]
Does = Callable[[Context, Mapping[str, Any]], Awaitable[types.CallToolResult]]


def text(words: str, *, is_error: bool = False) -> types.CallToolResult:
    """A result that says something."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=words)], is_error=is_error)


async def echo(context: Context, arguments: Mapping[str, Any]) -> types.CallToolResult:
    """Say the same."""
    return text(f"echo: {arguments.get('text')}")


class ToolServer:
    """The ASGI application; tests say what tools it has, and see what it was asked."""

    def __init__(self, *, credential: str | None = CREDENTIAL, stateless: bool = False) -> None:
        self.credential = credential
        self.tools: dict[str, Does] = {"echo": echo, "secret_echo": echo}
        self.names: Sequence[str] | None = None
        """What it lists, where that isn't what it has."""
        self.called: list[tuple[str, Mapping[str, Any]]] = []
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self.listed = 0
        self._stateless = stateless
        self._server = Server("test-tools", on_list_tools=self._list, on_call_tool=self._call)
        self._manager = StreamableHTTPSessionManager(self._server, stateless=stateless)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["method"], headers))
        if self.credential and headers.get("authorization") != f"Bearer {self.credential}":
            await PlainTextResponse("who are you?", 401)(scope, receive, send)
            return
        await self._manager.handle_request(scope, receive, send)

    def forget_sessions(self) -> None:
        """As if it had been started anew."""
        self._manager._server_instances.clear()

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1") -> AsyncIterator[str]:
        """The server's URL."""
        ready, over = asyncio.Event(), asyncio.Event()

        async def run() -> None:  # in a task of its own, as the library wants it
            async with self._manager.run():
                ready.set()
                await over.wait()

        task = asyncio.create_task(run())
        await ready.wait()
        try:
            async with serving(self, host) as url:
                yield f"{url}/mcp"
        finally:
            over.set()
            await task

    async def _list(self, context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        self.listed += 1
        names = list(self.tools) if self.names is None else self.names
        return types.ListToolsResult(
            tools=[types.Tool(name=name, description=f"Does {name}", input_schema=_SCHEMA) for name in names]
        )

    async def _call(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        self.called.append((params.name, params.arguments or {}))
        return await self.tools[params.name](context, params.arguments or {})
