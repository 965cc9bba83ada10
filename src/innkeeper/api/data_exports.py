"""/v1/tenants/{name}/data-exports: all that is kept of a tenant as one file, asked for, fetched and removed."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.exports import FILE, ExportId, file_answer
from innkeeper.api.once import MaybeOnce
from innkeeper.api.schema import Body, OperationDocument
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import ACCEPTED, Stopping, Wait, accepted
from innkeeper.core.access import Action
from innkeeper.core.exports import PASSPHRASE_MAX, Wish
from innkeeper.core.ports.exports import Lock

router = APIRouter(prefix="/tenants/{name}/data-exports", tags=["units"])


class CreateDataExport(Body):
    """Who can open it; left out: everybody who has the file."""

    recipients: list[str] = Field(default=[], max_length=20, examples=[["age1…"]])
    """Encrypted to these: age recipients, or SSH public keys."""
    passphrase: str | None = Field(
        default=None,
        min_length=1,
        max_length=PASSPHRASE_MAX,
        repr=False,
        json_schema_extra={"format": "password", "writeOnly": True},
    )
    """Or with this passphrase, as `age -p` does. Kept, encrypted, until the file is made."""


@router.post("", summary="Export a person's data", **ACCEPTED)
@needs(Action.EXPORT)
async def create(
    name: Name,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: CreateDataExport | None = None,
    wait: Wait = 0,
) -> OperationDocument:
    """One tar of what the agent has written, and of all that is kept of the tenant in JSON, for the rights of access
    and portability; never a secret's value. A README in it says what is what. It can be fetched for a day."""
    asked = body or CreateDataExport()
    wish = Wish(lock=Lock(recipients=tuple(asked.recipients), passphrase=asked.passphrase))
    operation = await inn.data_exports.begin(name, wish, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.get("/{operation_id}", summary="Fetch a person's data", **FILE)
@needs(Action.EXPORT)
async def fetch(name: Name, operation_id: ExportId, inn: TheInn, guest: TheGuest) -> StreamingResponse:
    """The file, which proves by its last member that it is whole. That somebody took it stands in the audit trail."""
    if inn.stopping.is_set():
        raise Stopping("The control plane is stopping.")
    path, called = await inn.data_exports.fetch(name, operation_id, actor=guest.actor)
    return await file_answer(path, called, inn, guest)


@router.delete("/{operation_id}", status_code=204, summary="Remove a data export")
@needs(Action.EXPORT)
async def remove(name: Name, operation_id: ExportId, inn: TheInn) -> None:
    """Drop the file at once, rather than after a day."""
    await inn.data_exports.drop(name, operation_id)
