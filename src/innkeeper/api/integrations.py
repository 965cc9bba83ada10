"""/v1/tenants/{name}/integrations: other services that a tenant's owner connects by OAuth 2."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request
from pydantic import Field

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.console_session import signed_in
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Document, ItemsOf
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action, ActorKind
from innkeeper.core.integration import Connection, Integration, Standing
from innkeeper.telemetry import redact

router = APIRouter(prefix="/tenants/{name}/integrations", tags=["integrations"])
Which = Annotated[str, Path(description="The integration's name, as listed.")]


class IntegrationStanding(StrEnum):
    """How a tenant's connection is."""

    CONNECTED = "connected"
    BROKEN = "broken"
    DISCONNECTED = "disconnected"


class IntegrationDocument(Document):
    """A service, and the tenant's connection to it; never a token."""

    name: str
    title: str
    configured: bool
    """False: an operator has taken it out of the settings; what is left can be disconnected."""
    standing: IntegrationStanding
    """`broken`: the service takes the connection no more, and an owner has to connect it again."""
    connected_by: str | None = None
    """The id of who did."""
    connected_as: str | None = None
    """Their mail address, or what their credential is called."""
    connected_at: datetime | None = None
    scopes: list[str] = Field(default_factory=list)
    """What was granted."""
    expires_at: datetime | None = None
    """When the present token ends; it is refreshed before. Null: the service doesn't say."""
    refreshed_at: datetime | None = None
    retry_at: datetime | None = None
    """Before that the service isn't asked for a new token again, after it gave none."""
    error: str | None = None
    """What went wrong last."""


class IntegrationPage(ItemsOf[IntegrationDocument]):
    """What a tenant is connected to, and what it could be."""


class ConnectDocument(Document):
    """Where to go on."""

    url: str
    """To be opened in the browser of an owner who is signed in to the console; for whoever asks from there, the
    service's own page."""


class DisconnectedDocument(Document):
    """How it ended."""

    name: str
    revoked: bool
    """Whether the service was told, and took it. If not, its own settings can end what it still holds."""


@router.get("", summary="List integrations")
@needs(Action.SECRETS)
async def index(name: Name, inn: TheInn) -> IntegrationPage:
    """What there is to connect, and how the tenant's connections are, all on one page."""
    return IntegrationPage(items=[_document(*each) for each in await inn.integrations.all(name)])


@router.post("/{integration}/connect", summary="Connect an integration")
@needs(Action.SECRETS)
async def connect(name: Name, integration: Which, request: Request, inn: TheInn, guest: TheGuest) -> ConnectDocument:
    """Where a person goes to say yes. It begins and ends in one browser, whose user may do this with the tenant: a link
    that somebody else opens connects nothing. Nothing is changed until they come back, so no Idempotency-Key is taken.
    """
    found = signed_in(request, inn.people.identities) if guest.actor.kind is ActorKind.USER else None
    if found is not None:
        return ConnectDocument(url=await inn.integrations.begin(name, integration, session=found[0]))
    inn.integrations.known(integration)
    await inn.control.tenant(name)
    query = urlencode({"tenant": name, "integration": integration})
    return ConnectDocument(url=f"{inn.hosting.console_origin}/integrations/connect?{query}")


@router.delete("/{integration}", summary="Disconnect an integration")
@needs(Action.SECRETS)
async def disconnect(name: Name, integration: Which, inn: TheInn, guest: TheGuest) -> DisconnectedDocument:
    """Give the tokens back to the service, if it answers within 5 seconds, and forget them in any case."""
    revoked = await inn.integrations.disconnect(name, integration, actor=guest.actor)
    return DisconnectedDocument(name=integration, revoked=revoked)


def _document(name: str, integration: Integration | None, connection: Connection | None) -> IntegrationDocument:
    title = integration.title if integration else name
    if connection is None:
        return IntegrationDocument(
            name=name,
            title=title,
            configured=integration is not None,
            standing=IntegrationStanding.DISCONNECTED,
        )
    return IntegrationDocument(
        name=name,
        title=title,
        configured=integration is not None,
        standing=IntegrationStanding(connection.standing),
        connected_by=connection.connected_by,
        connected_as=connection.connected_as,
        connected_at=connection.connected_at,
        scopes=list(connection.scopes),
        expires_at=None if connection.standing is Standing.BROKEN else connection.expires_at,
        refreshed_at=connection.refreshed_at,
        retry_at=connection.retry_at,
        error=redact(connection.error) if connection.error else None,
    )
