"""/v1/me and /v1/sessions: who one is, and where one is signed in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, SecretStr

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Body, Document, ItemsOf
from innkeeper.core.access import Action, ActorKind, Role, Scope, TenantRole
from innkeeper.core.errors import Forbidden
from innkeeper.core.people import SignInMethod

router = APIRouter(tags=["people"])


class MeDocument(Document):
    """Who asks, and what they may."""

    kind: ActorKind
    """What sort of credential it is."""
    id: str
    user: str | None
    name: str
    role: Role | None
    tenants: dict[str, TenantRole]
    scopes: list[Scope]
    tenant: str | None
    """The one tenant that the credential is good for."""


class ChangePassword(Body):
    """A new password of one's own."""

    old: SecretStr = Field(max_length=1000)
    new: SecretStr = Field(max_length=1000)


class SessionDocument(Document):
    """Somebody's having signed in with a browser."""

    id: str
    user: str
    method: SignInMethod
    address: str | None
    browser: str
    created_at: datetime
    expires_at: datetime


class SessionPage(ItemsOf[SessionDocument]):
    """Sessions."""


@router.get("/me", summary="Who am I?")
@needs(Action.SELF)
async def me(guest: TheGuest) -> MeDocument:
    """Whom the credential stands for."""
    actor = guest.actor
    return MeDocument(
        kind=actor.kind,
        id=actor.id,
        user=actor.user,
        name=actor.name,
        role=actor.role,
        tenants=dict(actor.tenants),
        scopes=sorted(actor.scopes),
        tenant=actor.only,
    )


@router.post("/me/password", status_code=204, summary="Change one's own password")
@needs(Action.SELF_CHANGE)
async def change_password(body: ChangePassword, inn: TheInn, guest: TheGuest) -> None:
    """Wants the old one; ends all of one's sessions."""
    if guest.actor.kind is not ActorKind.USER:
        raise Forbidden("Only somebody who is signed in has a password.", hint="Sign in at the console.")
    user = await inn.people.users.find(guest.actor.id)
    await inn.people.signing_in.check_own(user, body.old.get_secret_value())
    await inn.people.users.change(user.id, {"password": body.new.get_secret_value()}, actor=guest.actor)


@router.get("/sessions", summary="List sessions")
@needs(Action.SELF)
async def index(inn: TheInn, guest: TheGuest) -> SessionPage:
    """Where one is signed in; for those who manage users everybody's."""
    everybody = guest.may(Action.MANAGE, None)
    user = guest.actor.user
    found = await inn.people.signing_in.sessions(user=None if everybody else user) if everybody or user else ()
    return SessionPage(items=[SessionDocument.model_validate(vars(session)) for session in found])


@router.delete("/sessions/{session_id}", status_code=204, summary="End a session")
@needs(Action.SELF_CHANGE)
async def end(
    session_id: Annotated[str, Path(description="The session's id, as listed.")], inn: TheInn, guest: TheGuest
) -> None:
    """Sign out; what the session opened at tenants ends within seconds."""
    await inn.people.signing_in.end(session_id, actor=guest.actor, own=not guest.may(Action.MANAGE, None))
