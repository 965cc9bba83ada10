"""/v1/tenants/{name}/egress: a tenant's way out to the net, and the names that it has asked for."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Document
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action
from innkeeper.core.egress import allows
from innkeeper.core.records import Look
from innkeeper.core.uses import EgressMode

router = APIRouter(prefix="/tenants/{name}/egress", tags=["egress"])


class AskedNameDocument(Document):
    """A name that the agent asked for while its way out was watched."""

    name: str = Field(examples=["api.github.com"])
    listed: bool
    """Whether the list, as it is now, lets it pass."""
    first_seen: datetime
    last_seen: datetime
    asked: int
    """How often, refusals among them."""
    refused: int


class EgressDocument(Document):
    """A tenant's way out to the net."""

    tenant: str
    mode: EgressMode
    in_force: bool
    """Whether that holds by now; a change takes a moment."""
    names: list[str]
    """The list: what may be reached in `enforce`."""
    asked: list[AskedNameDocument]
    """What it asked for in `learn` and `enforce`, by name; of more than 1,000 the latest."""
    cannot: str | None
    """Why this installation can neither watch nor enforce; null: it can."""


class ForgottenDocument(Document):
    """What was forgotten."""

    forgotten: int
    """How many names."""


@router.get("", summary="Look at the way out")
@needs(Action.READ)
async def show(name: Name, inn: TheInn, guest: TheGuest) -> EgressDocument:
    """Mode, list, and the names that the agent has asked for. Change mode and list with `uses.egress` of the tenant."""
    tenant, asked = await inn.asked_for.of(name)
    await inn.records.looked(guest.actor, tenant, Look.EGRESS)
    egress = tenant.spec.uses.egress
    return EgressDocument(
        tenant=name,
        mode=egress.mode,
        in_force=inn.egress_in_force(name),
        names=list(egress.names),
        asked=[AskedNameDocument(**vars(each), listed=allows(egress.names, each.name)) for each in asked],
        cannot=inn.runtime.ways_out.why_not,
    )


@router.delete("", summary="Forget what was asked for")
@needs(Action.STEER)
async def forget(name: Name, inn: TheInn, guest: TheGuest) -> ForgottenDocument:
    """Forget the names that the agent has asked for, to learn anew. Mode and list stay."""
    return ForgottenDocument(forgotten=await inn.asked_for.forget(name, actor=guest.actor))
