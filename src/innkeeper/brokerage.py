"""The part of the composition root that answers what agents ask for: models, APIs and tools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from innkeeper.broker.app import Broker
from innkeeper.broker.choice import platform_specs, platform_upstreams
from innkeeper.broker.counting import CountingMeter
from innkeeper.broker.guard import spelled_out
from innkeeper.broker.http_apis import HttpApis
from innkeeper.broker.keys import Lookup, Rests
from innkeeper.broker.listener import BrokerListeners
from innkeeper.broker.outbound import outbound_client
from innkeeper.broker.providers import Providers
from innkeeper.broker.residents import Residents
from innkeeper.broker.switchboard import Switchboard
from innkeeper.core.directory import Directory
from innkeeper.core.events import Bus
from innkeeper.core.ports import Clock, Integrations, Runtime, Secrets, Store, Tokens
from innkeeper.core.tool_trail import ToolTrail
from innkeeper.counting_house import CountingHouse
from innkeeper.loops.supervise import Supervisor
from innkeeper.settings import Settings
from innkeeper.toolroom import Toolroom, toolroom


@dataclass(frozen=True, kw_only=True)
class Brokerage:
    """The broker, who may call it, and where it listens."""

    broker: Broker
    residents: Residents
    listeners: BrokerListeners
    counting: CountingHouse
    toolroom: Toolroom

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loops to the supervisor."""
        self.counting.start(supervisor)
        self.residents.start(supervisor, self.listeners)
        self.toolroom.start(supervisor)


@asynccontextmanager
async def brokerage(
    settings: Settings,
    *,
    store: Store,
    directory: Directory,
    runtime: Runtime,
    tokens: Tokens,
    bus: Bus,
    clock: Clock,
    secrets: Secrets,
    trail: ToolTrail,
    integrations: Integrations,
) -> AsyncIterator[Brokerage]:
    """Put it together, and take it apart at the end."""
    async with AsyncExitStack() as stack:
        written = [settings.anthropic_base_url, settings.openai_base_url]
        written += [said["base_url"] for said in settings.providers.values()]
        written += [said["url"] for said in settings.mcp_servers.values()]
        platforms = outbound_client([*settings.private_hosts, *spelled_out(written)])
        providers = Providers(
            client=await stack.enter_async_context(platforms),
            tenants_client=await stack.enter_async_context(outbound_client(settings.private_hosts)),
            lookup=Lookup(secrets, integrations.token),
            rests=Rests(),
        )
        opened = toolroom(
            settings,
            house_client=providers.client,
            own_client=providers.tenants_client,
            trail=trail,
            bus=bus,
            secrets=secrets,
            integrations=integrations,
        )
        room = await stack.enter_async_context(opened)
        residents = Residents(directory=directory, runtime=runtime, tokens=tokens, bus=bus)
        counting = CountingHouse(settings, store=store, bus=bus, clock=clock)
        stack.push_async_callback(counting.close)  # after the listeners: calls that were cut off are settled by then
        switchboard = Switchboard(
            platform_upstreams(settings, providers), providers.own_upstreams, allowed=counting.models
        )
        meter = CountingMeter()
        apis = HttpApis(platform_specs(settings), providers=providers, meter=meter)
        broker = Broker(
            callers=residents,
            switchboard=switchboard,
            apis=apis,
            meter=meter,
            till=counting.till,
            tools=room.tools,
        )
        listeners = BrokerListeners(broker, port=settings.broker_port)
        stack.push_async_callback(listeners.close)
        yield Brokerage(broker=broker, residents=residents, listeners=listeners, counting=counting, toolroom=room)
