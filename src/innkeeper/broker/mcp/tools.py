"""What the broker and the API have of all this: loaded when the first tool is asked for, for it takes 17 MB."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import httpx2

from innkeeper.broker.callers import Caller
from innkeeper.broker.exchange import Exchange
from innkeeper.broker.mcp.credentials import Credentials
from innkeeper.core.errors import Unauthenticated
from innkeeper.core.events import Bus, Event, TenantGone
from innkeeper.core.tenant import Tenant
from innkeeper.core.tool_trail import ToolTrail
from innkeeper.core.tools import ServerSeen
from innkeeper.core.uses import McpServer

if TYPE_CHECKING:
    from innkeeper.broker.mcp.endpoint import Endpoint
    from innkeeper.broker.mcp.toolbox import Toolbox

MCP_PATH = "/mcp"
_NOT_POST = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Only POST is served here."}}'


class BrokeredTools:
    """The broker's endpoint of tools, and the core's `Tools`."""

    def __init__(
        self,
        *,
        house: Mapping[str, McpServer],
        own_client: httpx2.AsyncClient,
        house_client: httpx2.AsyncClient,
        credentials: Credentials,
        trail: ToolTrail,
        bus: Bus,
    ) -> None:
        self._house = house
        self._own_client = own_client
        self._house_client = house_client
        self._credentials = credentials
        self._trail = trail
        self._loading = asyncio.Lock()
        self._loaded: tuple[Toolbox, Endpoint] | None = None
        bus.on_event(self._follow)

    async def serve(self, caller: Caller, exchange: Exchange, *, knock: Callable[[Caller], None]) -> None:
        """Answer one request of a tenant's agent. `knock` lets a call of a tool pass, or raises a Problem."""
        if caller.record is None:
            raise Unauthenticated("The tenant is gone.")
        if exchange.method != "POST":  # no streams of word unasked, no sessions to end
            await exchange.discard()
            await exchange.answer(405, _NOT_POST, ((b"content-type", b"application/json"), (b"allow", b"POST")))
            return
        _, endpoint = await self._load()
        await endpoint.serve(caller.record, exchange, lambda: knock(caller))

    async def seen(self, tenant: Tenant) -> Sequence[ServerSeen]:
        """The tenant's servers, asked where nothing fresh is known of them."""
        if not tenant.spec.uses.mcp:
            return ()
        toolbox, _ = await self._load()
        return await toolbox.seen(tenant)

    async def close(self) -> None:
        """Cut all connections off, and write the last lines of the trail."""
        if self._loaded is not None:
            await self._loaded[0].close()
        await self._trail.close()

    async def _load(self) -> tuple[Toolbox, Endpoint]:
        async with self._loading:
            if self._loaded is None:
                await asyncio.to_thread(_import)  # half a second, which others needn't wait for
                from innkeeper.broker.mcp.endpoint import Endpoint
                from innkeeper.broker.mcp.line import connector
                from innkeeper.broker.mcp.toolbox import Toolbox

                connect = connector(own=self._own_client, house=self._house_client, credentials=self._credentials)
                toolbox = Toolbox(house=self._house, connect=connect, trail=self._trail)
                self._loaded = toolbox, Endpoint(toolbox)
            return self._loaded

    def _follow(self, event: Event) -> None:
        if isinstance(event, TenantGone) and self._loaded is not None:
            self._loaded[0].forget(event.tenant_id)


def _import() -> None:
    import innkeeper.broker.mcp.endpoint  # noqa: F401
