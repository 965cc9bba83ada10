"""/v1/tenants/{name}/secrets: a tenant's secrets, which go in and never come out."""

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
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action

router = APIRouter(prefix="/tenants/{name}/secrets", tags=["secrets"])


@router.get("", summary="List secrets")
@needs(Action.SECRETS)
async def index(name: Name, inn: TheInn) -> SecretPage:
    """The tenant's secrets by name, all on one page; no values."""
    now = inn.clock.now()
    return SecretPage(items=[secret_document(each, now) for each in await inn.vault.all(name)])


@router.put("/{key}", summary="Set a secret")
@needs(Action.SECRETS)
async def put(name: Name, key: Key, body: SetSecret, inn: TheInn, guest: TheGuest, once: MaybeOnce) -> SecretDocument:
    """A new version of it, there before or not. Where the tenant's `config` refers to it, its instance is made anew
    with it: at once if it runs, else when it wakes. The broker uses it from the next call on."""
    kept = await inn.vault.set(name, key, body.value, actor=guest.actor, expires_at=body.expires_at, once=once)
    return secret_document(kept, inn.clock.now())


@router.post("/{key}/rotate", summary="Rotate a secret")
@needs(Action.SECRETS)
async def rotate(
    name: Name, key: Key, body: RotateSecret, inn: TheInn, guest: TheGuest, once: MaybeOnce
) -> SecretDocument:
    """A new value for one that is there (404 otherwise), or with `back_to` the value of an earlier version again."""
    kept = await inn.vault.rotate(
        name,
        key,
        body.value,
        actor=guest.actor,
        back_to=body.back_to,
        expires_at=body.expires_at,
        once=once,
    )
    return secret_document(kept, inn.clock.now())


@router.delete("/{key}", status_code=204, summary="Delete a secret")
@needs(Action.SECRETS)
async def delete(name: Name, key: Key, inn: TheInn, guest: TheGuest) -> None:
    """Away with it, all its versions. What refers to it fails from then on, and says so."""
    await inn.vault.delete(name, key, actor=guest.actor)
