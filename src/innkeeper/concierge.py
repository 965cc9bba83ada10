"""The concierge: the part of the composition root that connects tenants to other services for their owners."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog

from innkeeper import telemetry
from innkeeper.broker.guard import spelled_out
from innkeeper.broker.outbound import outbound_client
from innkeeper.core.events import Bus
from innkeeper.core.integration import Connection, Integration
from innkeeper.core.integration_reading import REFERENCE
from innkeeper.core.integration_tokens import IntegrationTokens
from innkeeper.core.integrations import Integrations
from innkeeper.core.ports import Clock, Seals, SecretKeeping, Secrets, Store
from innkeeper.core.secret_errors import SecretMissing
from innkeeper.integrations.authorization import ClientSecret, OAuthServers
from innkeeper.settings import Settings

log = structlog.get_logger("innkeeper.integrations")


@asynccontextmanager
async def concierge(
    settings: Settings,
    *,
    store: Store,
    vault: SecretKeeping,
    seals: Seals,
    bus: Bus,
    clock: Clock,
) -> AsyncIterator[Integrations]:
    """Put it together, and let what is under way end."""
    known = settings.integrations_by_name
    urls = [url for each in known.values() for url in (each.token_url, each.revoke_url) if url]
    client = outbound_client([*settings.private_hosts, *spelled_out(urls)])
    servers = OAuthServers(client, client_secret=client_secrets(vault))
    hide = partial(telemetry.hide, for_s=telemetry.HIDDEN_FOR_S)
    tokens = IntegrationTokens(store=store, vault=vault, servers=servers, bus=bus, clock=clock, hide=hide, tell=_tell)
    integrations = Integrations(
        known,
        store=store,
        vault=vault,
        servers=servers,
        tokens=tokens,
        seals=seals,
        hosting=settings.hosting,
        clock=clock,
    )
    try:
        yield integrations
    finally:
        await integrations.close()
        await client.aclose()


def client_secrets(vault: Secrets) -> ClientSecret:
    """Finds what an integration's reference names: in the platform's own vault, or in our environment."""

    async def found(integration: Integration) -> str | None:
        if integration.client_secret is None:
            return None
        named = REFERENCE.fullmatch(integration.client_secret)
        if named is None:
            raise SecretMissing("The integration names no secret.")
        kind, name = named.groups()
        if kind == "secret":
            return await vault.reveal(name, None)
        if (value := os.environ.get(name)) is None:
            raise SecretMissing(f"There is no {name} in the environment.", hint="Start Innkeeper with it.")
        telemetry.hide(value)
        return value

    return found


def _tell(outcome: str, connection: Connection, says: str) -> None:
    telemetry.integration_refreshes.labels(outcome=outcome).inc()
    tell = log.info if outcome == "done" else log.warning
    tell("refreshed" if outcome == "done" else "not refreshed", tenant=connection.tenant,
         integration=connection.integration, outcome=outcome, says=says or None)  # fmt: skip
