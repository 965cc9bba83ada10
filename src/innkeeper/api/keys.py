"""/v1/tenants/{name}/keys: the API keys with which people enter a tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, Field

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.once import MaybeOnce
from innkeeper.api.schema import Body, Document, ItemsOf
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action, TenantKey

_Form = TypeVar("_Form", bound="KeyDocument")

router = APIRouter(prefix="/tenants/{name}/keys", tags=["keys"])


class CreateKey(Body):
    """A new key."""

    name: str = Field(default="default", min_length=1, max_length=80, examples=["alice's phone"])
    """What it is for, so that its owner recognises it."""
    expires_at: AwareDatetime | None = Field(default=None, examples=["2027-01-31T00:00:00Z"])
    """When it ends by itself; null: it doesn't."""


class KeyDocument(Document):
    """A key without its secret, which nobody has but its owner."""

    id: str
    tenant: str
    name: str
    hint: str
    """How the key begins."""
    created_at: datetime
    expires_at: datetime | None


class KeyPage(ItemsOf[KeyDocument]):
    """A tenant's keys."""


class NewKeyDocument(KeyDocument):
    """A key, this once with its secret."""

    key: str
    """The secret, to be sent as `Authorization: Bearer`; shown this once and kept nowhere."""


@router.post("", status_code=201, summary="Create a key")
@needs(Action.ADMIT)
async def create(
    name: Name, inn: TheInn, guest: TheGuest, once: MaybeOnce, body: CreateKey | None = None
) -> NewKeyDocument:
    """A key for this tenant alone. Its secret is in this answer and nowhere else, ever: the same request sent again
    with its Idempotency-Key makes no second key, and can't show the first one's secret (409 `key_made_before`)."""
    asked = body or CreateKey()
    key, secret = await inn.keys.create(name, asked.name, actor=guest.actor, expires_at=asked.expires_at, once=once)
    return _document(key, NewKeyDocument, key=secret)


@router.get("", summary="List keys")
@needs(Action.ADMIT)
async def index(name: Name, inn: TheInn) -> KeyPage:
    """The tenant's keys, all on one page."""
    return KeyPage(items=[_document(key, KeyDocument) for key in await inn.keys.all(name)])


@router.delete("/{key_id}", status_code=204, summary="Revoke a key")
@needs(Action.ADMIT)
async def revoke(
    name: Name, key_id: Annotated[str, Path(description="The key's id, as listed.")], inn: TheInn, guest: TheGuest
) -> None:
    """End a key at once; streams that it opened end, too."""
    await inn.keys.revoke(name, key_id, actor=guest.actor)


def _document(kept: TenantKey, form: type[_Form], **more: str) -> _Form:
    return form.model_validate({**vars(kept), **more})
