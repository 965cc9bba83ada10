"""/v1/keyring: how the keyring stands, and new master keys while everything is in use."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.forms import Document
from innkeeper.core.access import Action

router = APIRouter(prefix="/keyring", tags=["keyring"])


class MasterKeyDocument(Document):
    """A master key, without the key."""

    id: str
    created_at: datetime
    wraps: int
    """How many data keys it wraps now."""


class ExportDocument(Document):
    """An offline copy that was taken."""

    at: datetime
    file: str
    """Where it was written to."""
    keys: int
    """How many data keys it holds."""
    destroyed: list[str]
    """The ids of those whose keys it still holds though they were destroyed since."""


class KeyringDocument(Document):
    """How the keyring stands."""

    where: str
    """Where the master keys come from."""
    writable: bool
    """Whether a rotation adds a master key there by itself."""
    masters: list[MasterKeyDocument]
    """Oldest first."""
    data_keys: int
    destroyed: int
    """How many data keys were destroyed."""
    exports: list[ExportDocument]
    """Oldest first."""
    unexported: int
    """How many keys in use no export holds."""


class RotationDocument(Document):
    """What a rotation did."""

    added: str | None
    """The new master key; null: none was added."""
    newest: str
    """The one that wraps from now on."""
    rewrapped: int
    """How many data keys it was wrapped around just now."""
    says: str
    """What is left to do."""


@router.get("", summary="Show the keyring")
@needs(Action.MANAGE)
async def show(inn: TheInn) -> KeyringDocument:
    """Its keys by id, what they wrap, and which copies were taken; no key, ever."""
    return KeyringDocument.model_validate(await inn.locksmith.facts(), from_attributes=True)


@router.post("/rotate", summary="Rotate the master key")
@needs(Action.MANAGE)
async def rotate(inn: TheInn, guest: TheGuest) -> RotationDocument:
    """Add a master key and wrap every data key by it, while all of them are in use; a rotation that a crash cut short
    is finished instead. Where the keyring comes from the environment or a command, its operator adds the key first."""
    return RotationDocument.model_validate(await inn.locksmith.rotate(actor=guest.actor), from_attributes=True)
