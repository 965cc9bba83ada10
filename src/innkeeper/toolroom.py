"""The part of the composition root that lets agents use tools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from innkeeper.broker.mcp.credentials import Credentials
from innkeeper.broker.mcp.tools import BrokeredTools
from innkeeper.core.events import Bus
from innkeeper.core.ports import Integrations, Secrets
from innkeeper.core.tool_trail import ToolTrail
from innkeeper.core.uses_reading import mcp_server_of
from innkeeper.loops.supervise import Supervisor
from innkeeper.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Toolroom:
    """The tools, and what is written down of their use."""

    tools: BrokeredTools
    trail: ToolTrail

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("tool-trail", self.trail.keep_writing)


@asynccontextmanager
async def toolroom(
    settings: Settings,
    *,
    house_client: httpx2.AsyncClient,
    own_client: httpx2.AsyncClient,
    trail: ToolTrail,
    bus: Bus,
    secrets: Secrets,
    integrations: Integrations | None,
) -> AsyncIterator[Toolroom]:
    """Put it together, and take it apart at the end; `house_client` goes to the settings' servers, `own_client` to
    those of tenants."""
    tools = BrokeredTools(
        house={name: mcp_server_of(said, f"mcp_servers.{name}") for name, said in settings.mcp_servers.items()},
        house_client=house_client,
        own_client=own_client,
        credentials=Credentials(secrets=secrets, integrations=integrations),
        trail=trail,
        bus=bus,
    )
    try:
        yield Toolroom(tools=tools, trail=trail)
    finally:
        await tools.close()
