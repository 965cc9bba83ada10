"""The whole way at a real authorization server, which wants PKCE and changes its refresh tokens at each use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from innkeeper.core.access import ADMIN
from innkeeper.core.integration import Integration, KeptTokens
from innkeeper.core.integration_errors import ConnectRefused, GrantRefused, IntegrationBroken, IntegrationNotConnected
from innkeeper.core.integration_reading import integration_of
from innkeeper.core.integrations import Integrations
from innkeeper.integrations.authorization import OAuthServers
from tests.store.people import session as session_of
from tests.store.people import user
from tests.support.house import House
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID, RealProvider, oidc_provider

pytestmark = pytest.mark.oidc

BACK = "http://console.localhost:8080/integrations/callback/acme"
SESSION = session_of(1, user("ann"))


@pytest.fixture
async def provider() -> AsyncIterator[RealProvider]:
    async with oidc_provider(redirect_uris=[BACK], refreshes=True) as made:
        yield made


@asynccontextmanager
async def connecting(provider: RealProvider, **more: Any) -> AsyncIterator[tuple[House, list[Integrations]]]:
    """A tenant, and two control planes that have the service configured."""
    house = House()
    await house.create("alice")
    async with house.store.begin() as tx:
        await tx.people.add_user(user("ann"))
        await tx.people.add_session(SESSION)
    said = {
        "authorize_url": f"{provider.issuer}/auth",
        "token_url": f"{provider.issuer}/token",
        "revoke_url": f"{provider.issuer}/token/revocation",
        "issuer": provider.issuer,
        "scopes": ["openid", "email"],
        "client_id": CLIENT_ID,
        "client_secret": "${secret:acme}",
        **more,
    }
    house.services = {"acme": integration_of("acme", said)}
    async with httpx2.AsyncClient(trust_env=False) as client:
        yield house, [house.make_integrations(client, CLIENT_SECRET) for _ in range(2)]


async def connected(integrations: Integrations, provider: RealProvider, login: str | None = "alice") -> dict[str, str]:
    """What came back, which is used."""
    answer = await provider.walk(await integrations.begin("alice", "acme", session=SESSION), login)
    await integrations.finish("acme", answer, session=SESSION, actor=ADMIN)
    return answer


async def mail(provider: RealProvider, token: str) -> object:
    """Whose account a token opens."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{provider.issuer}/me", headers={"Authorization": f"Bearer {token}"})
        return answer.json().get("email") if answer.status_code == 200 else answer.status_code


async def refreshed(house: House, kept: KeptTokens) -> None:
    """Use a refresh token past everything that looks after it."""

    async def client_secret(integration: Integration) -> str | None:
        return CLIENT_SECRET if integration.client_secret else None

    async with httpx2.AsyncClient(trust_env=False) as client:
        servers = OAuthServers(client, client_secret=client_secret)
        await servers.refresh(house.services["acme"], kept.refresh_token or "")


@pytest.mark.parametrize("client", [{}, {"client_id": PUBLIC_CLIENT_ID, "client_secret": None}])
async def test_connect_use_refresh_and_disconnect(provider: RealProvider, client: dict[str, Any]) -> None:
    async with connecting(provider, **client) as (house, (one, other)):
        answer = await connected(one, provider)
        tenant = await house.tenant("alice")
        first = await one.token("acme", tenant)
        assert await mail(provider, first) == "alice@example.com"
        with pytest.raises(ConnectRefused):
            await one.finish("acme", answer, session=SESSION, actor=ADMIN)

        for _ in range(3):
            house.clock.turn(590)
            asked = [each.token("acme", tenant) for each in (one, other) for _ in range(50)]
            given = set(await asyncio.gather(*asked))
            # Some may have got the old one, good for ten seconds more, while the other control plane was asking.
            new = given - {first}
            assert len(new) == 1, "each of its refresh tokens was used once, or all would be over now"
            first = new.pop()
            assert await mail(provider, first) == "alice@example.com"

        kept = KeptTokens.loads(house.named_secrets.values["alice", "integration.acme"])
        assert await one.disconnect("alice", "acme", actor=ADMIN) is True
        with pytest.raises(IntegrationNotConnected):
            await other.token("acme", tenant)
        house.named_secrets.put("integration.acme", kept.dumps(), "alice")
        with pytest.raises(GrantRefused, match="invalid_grant"):
            await refreshed(house, kept)


async def test_a_refresh_token_that_was_used_elsewhere_breaks_the_connection(provider: RealProvider) -> None:
    async with connecting(provider) as (house, (one, other)):
        await connected(one, provider)
        tenant = await house.tenant("alice")
        kept = KeptTokens.loads(house.named_secrets.values["alice", "integration.acme"])
        await refreshed(house, kept)  # as a thief would
        house.clock.turn(3600)
        with pytest.raises(IntegrationBroken, match="invalid_grant"):
            await one.token("acme", tenant)
        with pytest.raises(IntegrationBroken):
            await other.token("acme", tenant)
        await connected(one, provider)
        assert await mail(provider, await other.token("acme", tenant)) == "alice@example.com"


async def test_who_cancels_there_connects_nothing(provider: RealProvider) -> None:
    async with connecting(provider) as (house, (one, _)):
        with pytest.raises(GrantRefused, match="access_denied"):
            await connected(one, provider, None)
        assert house.named_secrets.values == {}


async def test_a_wrong_secret_is_told_at_once(provider: RealProvider) -> None:
    async with connecting(provider) as (house, _), httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises(GrantRefused, match="invalid_client"):
            await connected(house.make_integrations(client, "wrong"), provider)
