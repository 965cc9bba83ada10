"""A broker whose two tenants have tools, and the agents' side of it: the MCP library's own client."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import httpx2
import mcp_types as types
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from innkeeper.broker.app import Broker
from innkeeper.broker.bills import Till
from innkeeper.broker.callers import Caller
from innkeeper.broker.demo import DemoModel
from innkeeper.broker.http_apis import HttpApis
from innkeeper.broker.keys import Lookup, Rests
from innkeeper.broker.listener import BrokerListeners
from innkeeper.broker.mcp.credentials import Credentials
from innkeeper.broker.mcp.tools import BrokeredTools
from innkeeper.broker.metering import TenantMeter
from innkeeper.broker.outbound import outbound_client
from innkeeper.broker.providers import Providers
from innkeeper.broker.switchboard import Switchboard
from innkeeper.broker.upstream import Upstream
from innkeeper.core.audit import Entry
from innkeeper.core.events import Bus, utc_now
from innkeeper.core.tenant import Limits, Spec, Tenant
from innkeeper.core.tool_trail import ToolTrail
from innkeeper.core.tools import Outcome
from innkeeper.core.uses import McpServer, Uses
from innkeeper.store.memory import MemoryStore
from tests.broker.house import ALICE, HERE, TOKENS, Guests
from tests.support.links import LINKS
from tests.support.secrets import NamedSecrets
from tests.support.serving import free_port
from tests.support.tool_server import CREDENTIAL


@dataclass(kw_only=True)
class ToolHouse:
    """The pieces."""

    broker: Broker
    tools: BrokeredTools
    trail: ToolTrail
    store: MemoryStore
    secrets: NamedSecrets
    tenants: dict[str, Tenant]
    url: str
    bus: Bus
    outcomes: list[Outcome] = field(default_factory=list)

    def give(self, tenant: str, **servers: McpServer | str) -> None:
        """Let the tenant have exactly these servers."""
        there = self.tenants[tenant]
        self.tenants[tenant] = replace(there, spec=replace(there.spec, uses=Uses(mcp=servers)))

    def http(self, address: str = ALICE) -> httpx2.AsyncClient:
        """A plain client, at the address of a tenant and with its token."""
        headers = {"authorization": f"Bearer {TOKENS['id-alice' if address == ALICE else 'id-bob']}"}
        transport = httpx2.AsyncHTTPTransport(local_address=address)
        return httpx2.AsyncClient(transport=transport, base_url=self.url, headers=headers, timeout=60)

    @asynccontextmanager
    async def agent(self, address: str = ALICE, *, mode: str = "auto") -> AsyncIterator[Client]:
        """An agent's MCP client, at the address of a tenant and with its token."""
        async with self.http(address) as http:
            place = streamable_http_client(f"{self.url}/mcp", http_client=http, max_sse_event_size=None)
            async with Client(place, mode=mode, cache=None) as client:
                yield client

    async def names(self, address: str = ALICE) -> list[str]:
        """What an agent there is shown."""
        async with self.agent(address) as agent:
            return [tool.name for tool in (await agent.list_tools()).tools]

    async def call(self, name: str, *, address: str = ALICE, **arguments: object) -> tuple[bool, str]:
        """What an agent there gets for a call: whether it failed, and its words."""
        async with self.agent(address) as agent:
            return told(await agent.call_tool(name, arguments))

    async def lines(self) -> Sequence[Entry]:
        """The trail, all that waits written down."""
        await self.trail.write()
        async with self.store.look() as tx:
            return [entry for _, entry in await tx.trail(limit=10_000)]


class Lodgers:
    """The same, with their specs as they are now."""

    def __init__(self, guests: Guests, tenants: Mapping[str, Tenant]) -> None:
        self._guests = guests
        self._tenants = tenants

    def find(self, address: str) -> Caller | None:
        """The one who lives there."""
        caller = self._guests.find(address)
        return caller and replace(caller, record=self._tenants[caller.tenant])

    def verify(self, token: str, tenant_id: str, epoch: int) -> bool:
        """As they do."""
        return self._guests.verify(token, tenant_id, epoch)


class Hashes:
    """Fingerprints that a test can tell apart."""

    def fingerprint(self, tenant_id: str, content: bytes) -> str:
        """Of both."""
        return hashlib.sha256(tenant_id.encode() + b"/" + content).hexdigest()


class WallClock:
    """The host's."""

    def now(self) -> datetime:
        """The time."""
        return utc_now()


@asynccontextmanager
async def tool_house(
    *,
    house: Mapping[str, McpServer] | None = None,
    host: str = HERE,
    guests: Guests | None = None,
    upstream: Upstream | None = None,
    reach: Sequence[str] = (HERE,),
    till: Till | None = None,
) -> AsyncIterator[ToolHouse]:
    """A broker with alice and bob, whose vaults hold the tools' credential; `house`: servers of the settings."""
    secrets, bus, outcomes = NamedSecrets(), Bus(), list[Outcome]()
    store = MemoryStore(links=LINKS)
    for whose in ("alice", "bob"):
        secrets.put("TOOLS", CREDENTIAL, whose)
    tenants = {name: _tenant(name) for name in ("alice", "bob")}
    trail = ToolTrail(
        store=store,
        clock=WallClock(),
        fingerprints=Hashes(),
        count=lambda outcome, seconds: outcomes.append(outcome),
    )
    client = outbound_client(reach)
    tools = BrokeredTools(
        house=house or {},
        own_client=client,
        house_client=client,
        credentials=Credentials(secrets=secrets, integrations=NamedIntegrations()),
        trail=trail,
        bus=bus,
    )
    port, meter = free_port(), TenantMeter()
    nothing = Providers(client=client, tenants_client=client, lookup=Lookup(secrets), rests=Rests())
    broker = Broker(
        callers=Lodgers(guests or Guests(), tenants),
        switchboard=Switchboard((upstream or DemoModel(),), lambda _: {}),
        apis=HttpApis({}, providers=nothing, meter=meter),
        meter=meter,
        till=till,
        tools=tools,
    )
    listeners = BrokerListeners(broker, port=port)
    await listeners.listen_on([host])
    try:
        yield ToolHouse(
            broker=broker,
            tools=tools,
            trail=trail,
            store=store,
            secrets=secrets,
            tenants=tenants,
            url=f"http://{host}:{port}",
            bus=bus,
            outcomes=outcomes,
        )
    finally:
        await listeners.close(grace_s=0)
        await tools.close()
        await client.aclose()


class NamedIntegrations:
    """Integrations whose token is their name and whose they are."""

    async def token(self, name: str, tenant: Tenant) -> str:
        """It."""
        return f"{name}-of-{tenant.name}"


def _tenant(name: str) -> Tenant:
    spec = Spec(agent="nanobot", release="1", image="sha256:0", limits=Limits(memory_mb=512, cpus=1.0))
    return Tenant(id=f"id-{name}", name=name, spec=spec, slot=0, created_at=utc_now())


def told(result: types.CallToolResult) -> tuple[bool, str]:
    """Whether a call failed, and its words."""
    return result.is_error, "".join(part.text for part in result.content if isinstance(part, types.TextContent))


def server_at(url: str, **fields: object) -> McpServer:
    """A server that wants the credential of the vault."""
    headers = {"Authorization": "Bearer ${secret:TOOLS}"}
    return McpServer(**{"url": url, "headers": headers, **fields})  # type: ignore[arg-type]
