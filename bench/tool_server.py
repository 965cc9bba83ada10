"""A server of one tool, made from the MCP library: `python -m bench.tool_server HOST PORT`."""

from __future__ import annotations

import logging
import sys
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

_Context = ServerRequestContext[Any, Any]


async def _tools(context: _Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[types.Tool(name="echo", input_schema={"type": "object"})])


async def _call(context: _Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    said = str((params.arguments or {}).get("text"))
    return types.CallToolResult(content=[types.TextContent(type="text", text=said)])


def main(host: str, port: int) -> None:
    """Answer until killed."""
    logging.disable()
    server = Server("bench", on_list_tools=_tools, on_call_tool=_call)
    uvicorn.run(server.streamable_http_app(stateless_http=True), host=host, port=port, log_config=None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
