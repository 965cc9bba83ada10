"""/v1/secrets: the platform's own secrets, for what stands in the settings."""

from __future__ import annotations

from fastapi import APIRouter

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.once import MaybeOnce
from innkeeper.api.secret_documents import (
    Key,
    RotateSecret,
    SecretDocument,
    SecretPage,
    SetSecret,
    secret_document,
)
from innkeeper.core.access import Action

router = APIRouter(prefix="/secrets", tags=["secrets"])


@router.get("", summary="List secrets of the platform")
@needs(Action.HOUSE_SECRETS)
async def index(inn: TheInn) -> SecretPage:
    """The platform's secrets by name, all on one page; no values."""
    now = inn.clock.now()
    return SecretPage(items=[secret_document(each, now) for each in await inn.vault.all(None)])


@router.put("/{key}", summary="Set a secret of the platform")
@needs(Action.HOUSE_SECRETS)
async def put(key: Key, body: SetSecret, inn: TheInn, guest: TheGuest, once: MaybeOnce) -> SecretDocument:
    """A new version of it, there before or not. The broker uses it from the next call on."""
    kept = await inn.vault.set(None, key, body.value, actor=guest.actor, expires_at=body.expires_at, once=once)
    return secret_document(kept, inn.clock.now())


@router.post("/{key}/rotate", summary="Rotate a secret of the platform")
@needs(Action.HOUSE_SECRETS)
async def rotate(key: Key, body: RotateSecret, inn: TheInn, guest: TheGuest, once: MaybeOnce) -> SecretDocument:
    """A new value for one that is there (404 otherwise), or with `back_to` the value of an earlier version again."""
    kept = await inn.vault.rotate(
        None,
        key,
        body.value,
        actor=guest.actor,
        back_to=body.back_to,
        expires_at=body.expires_at,
        once=once,
    )
    return secret_document(kept, inn.clock.now())


@router.delete("/{key}", status_code=204, summary="Delete a secret of the platform")
@needs(Action.HOUSE_SECRETS)
async def delete(key: Key, inn: TheInn, guest: TheGuest) -> None:
    """Away with it, all its versions. What refers to it fails from then on, and says so."""
    await inn.vault.delete(None, key, actor=guest.actor)
