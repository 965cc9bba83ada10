"""/v1/tokens: credentials for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, Field

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.once import MaybeOnce
from innkeeper.api.schema import Body, Document, ItemsOf
from innkeeper.core.access import Action, Role, Scope, TenantRole
from innkeeper.core.errors import Forbidden
from innkeeper.core.people import ApiToken
from innkeeper.core.tokens import TokenWish

_Form = TypeVar("_Form", bound="TokenDocument")

router = APIRouter(prefix="/tokens", tags=["people"])


class CreateToken(Body):
    """A new token."""

    name: str = Field(default="default", min_length=1, max_length=80, examples=["backup script"])
    """What it is for."""
    scopes: list[Scope] = Field(default_factory=lambda: list(Scope), max_length=20)
    """What it is narrowed to: `read`, `use`, `operate`, `manage`, `audit`."""
    expires_at: AwareDatetime | None = Field(default=None, examples=["2027-01-31T00:00:00Z"])
    """When it ends by itself; null: it doesn't."""
    tenant: str | None = Field(default=None, max_length=40)
    """The one tenant that it is good for."""
    role: Role | None = None
    """A service's role on the platform; null: the token is its maker's own."""
    tenant_role: TenantRole | None = None
    """A service's role in `tenant`."""


class TokenDocument(Document):
    """A token without its secret, which nobody has but its owner."""

    id: str
    name: str
    user: str | None
    """Whose it is; null: a service's."""
    role: Role | None
    tenant: str | None
    tenant_role: TenantRole | None
    scopes: list[Scope]
    hint: str
    """How it begins."""
    created_by: str
    created_at: datetime
    expires_at: datetime | None


class TokenPage(ItemsOf[TokenDocument]):
    """Tokens."""


class NewTokenDocument(TokenDocument):
    """A token, this once with its secret."""

    token: str
    """The secret, to be sent as `Authorization: Bearer`; shown this once and kept nowhere."""


@router.post("", status_code=201, summary="Create a token")
@needs(Action.SELF_CHANGE)
async def create(inn: TheInn, guest: TheGuest, once: MaybeOnce, body: CreateToken | None = None) -> NewTokenDocument:
    """A token that may what its maker may, narrowed by scopes, tenant and time; or, for those who manage users, a
    service's with a role of its own. Its secret is in this answer and nowhere else, ever."""
    asked = body or CreateToken()
    wish = TokenWish(**asked.model_dump(exclude={"scopes"}), scopes=frozenset(asked.scopes))
    if wish.for_service and not guest.may(Action.MANAGE, None):
        raise Forbidden("Only those who manage users may make a service's token.", hint="Leave out the role.")
    token, secret = await inn.people.tokens.create(wish, actor=guest.actor, once=once)
    return _document(token, NewTokenDocument, token=secret)


@router.get("", summary="List tokens")
@needs(Action.SELF)
async def index(inn: TheInn, guest: TheGuest) -> TokenPage:
    """One's own, all on one page; for those who manage users everybody's."""
    if guest.may(Action.MANAGE, None):
        tokens = await inn.people.tokens.all()
    else:
        tokens = await inn.people.tokens.all(user=guest.actor.user) if guest.actor.user else ()
    return TokenPage(items=[_document(token, TokenDocument) for token in tokens])


@router.delete("/{token_id}", status_code=204, summary="Revoke a token")
@needs(Action.SELF_CHANGE)
async def revoke(
    token_id: Annotated[str, Path(description="The token's id, as listed.")], inn: TheInn, guest: TheGuest
) -> None:
    """End a token at once; what it opened ends within seconds."""
    await inn.people.tokens.revoke(token_id, actor=guest.actor, own=not guest.may(Action.MANAGE, None))


def _document(kept: ApiToken, form: type[_Form], **more: str) -> _Form:
    return form.model_validate({**vars(kept), "scopes": sorted(kept.scopes), **more})
