"""A broker with two tenants at addresses of their own, in front of a provider that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import httpx2

from innkeeper.broker.app import Broker
from innkeeper.broker.bills import Till
from innkeeper.broker.callers import Caller
from innkeeper.broker.http_apis import HttpApis
from innkeeper.broker.http_upstream import HttpUpstream
from innkeeper.broker.keys import Keychain, Lookup, Rests
from innkeeper.broker.listener import BrokerListeners
from innkeeper.broker.metering import TenantMeter
from innkeeper.broker.outbound import PATIENT, outbound_client
from innkeeper.broker.provider import Provider
from innkeeper.broker.providers import Providers
from innkeeper.broker.switchboard import Switchboard
from innkeeper.broker.upstream import Upstream
from innkeeper.core.access import same
from innkeeper.core.tenant import Limits, Spec, Tenant
from innkeeper.core.uses import ProviderSpec
from innkeeper.core.uses_reading import uses_of
from tests.support.secrets import NamedSecrets
from tests.support.serving import free_port

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ALICE, BOB, NOBODY = "127.0.0.2", "127.0.0.3", "127.0.0.4"
TOKENS = {"id-alice": "ik_broker_alice", "id-bob": "ik_broker_bob"}
KEY = "sk-real-0123456789abcdefghij"
NO_APIS: Mapping[str, ProviderSpec] = MappingProxyType({})
HERE = "127.0.0.1"
"""Where the fake providers are, and so whom the broker's clients are allowed to reach."""


class Guests:
    """Two tenants, known by their addresses."""

    def __init__(self) -> None:
        self.at = {ALICE: caller("alice"), BOB: caller("bob")}

    def find(self, address: str) -> Caller | None:
        """The one who lives there."""
        return self.at.get(address)

    def verify(self, token: str, tenant_id: str, epoch: int) -> bool:
        """Only the first epoch's tokens are known here."""
        return epoch == 1 and same(token, TOKENS[tenant_id])


def caller(name: str, **uses: Any) -> Caller:
    """Alice or bob, whose agent may use that."""
    spec = Spec(agent="openclaw", release="1", image="i", limits=Limits(memory_mb=512, cpus=1), uses=uses_of(uses))
    record = Tenant(id=f"id-{name}", name=name, spec=spec, slot=0, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    return Caller(tenant=name, tenant_id=record.id, epoch=1, record=record)


@dataclass(kw_only=True)
class House:
    """A broker that listens, and clients that call it from where tenants live."""

    broker: Broker
    listeners: BrokerListeners
    meter: TenantMeter
    guests: Guests
    url: str
    _clients: list[httpx2.AsyncClient] = field(default_factory=list)

    def client(
        self, address: str = ALICE, headers: Mapping[str, str] | Mapping[bytes, bytes] | None = None
    ) -> httpx2.AsyncClient:
        """A client at a tenant's address, with that tenant's token unless `headers` say otherwise."""
        if headers is None:
            headers = {"authorization": f"Bearer {TOKENS[self.guests.at[address].tenant_id]}"}
        transport = httpx2.AsyncHTTPTransport(local_address=address, limits=httpx2.Limits(max_connections=None))
        client = httpx2.AsyncClient(transport=transport, base_url=self.url, headers=headers, timeout=60)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Hang up, then stop."""
        for client in self._clients:
            await client.aclose()
        await self.listeners.close(grace_s=0)


@asynccontextmanager
async def providers_with(secrets: NamedSecrets, private_host: str = HERE) -> AsyncIterator[Providers]:
    """Providers whose keys are among those secrets; tenants' own may reach that host alone of all that isn't public."""
    async with outbound_client([HERE]) as client, outbound_client([private_host]) as tenants_client:
        yield Providers(client=client, tenants_client=tenants_client, lookup=Lookup(secrets), rests=Rests())


@asynccontextmanager
async def house_with(
    *platform: Upstream,
    providers: Providers | None = None,
    apis: Mapping[str, ProviderSpec] = NO_APIS,
    till: Till | None = None,
) -> AsyncIterator[House]:
    """A broker in front of those upstreams and HTTP APIs, and of what tenants have of their own; without a till
    nobody pays."""
    async with AsyncExitStack() as stack:
        if providers is None:
            providers = await stack.enter_async_context(providers_with(NamedSecrets()))
        guests, meter, port = Guests(), TenantMeter(), free_port()
        broker = Broker(
            callers=guests,
            switchboard=Switchboard(platform, providers.own_upstreams),
            apis=HttpApis(apis, providers=providers, meter=meter),
            meter=meter,
            till=till,
        )
        listeners = BrokerListeners(broker, port=port)
        await listeners.listen_on(["127.0.0.1"])
        house = House(broker=broker, listeners=listeners, meter=meter, guests=guests, url=f"http://127.0.0.1:{port}")
        stack.push_async_callback(house.close)
        yield house


@asynccontextmanager
async def upstream_to(
    provider: Provider, *keys: str, model: str = "real-1", timeout: httpx2.Timeout = PATIENT
) -> AsyncIterator[HttpUpstream]:
    """That provider of the platform's, with these keys in place of the usual one."""
    secrets = NamedSecrets()
    references = [f"${{secret:K{number}}}" for number, _ in enumerate(keys or [KEY])]
    for number, key in enumerate(keys or [KEY]):
        secrets.put(f"K{number}", key)
    chain = Keychain(references, lookup=Lookup(secrets), rests=Rests(), provider=provider.name, tenant=None)
    async with outbound_client([HERE], timeout=timeout) as client:
        yield HttpUpstream(provider, client=client, keys=chain, default=model)


async def until(holds: Callable[[], object]) -> None:
    """Wait for something inside the broker that has no event of its own."""
    while not holds():
        await asyncio.sleep(0.001)


def chat(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    """A chat completion request."""
    return {"model": "default", "messages": [{"role": "user", "content": text}], **fields}


def message(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    """An Anthropic messages request."""
    return {**chat(text), "max_tokens": 64, **fields}
