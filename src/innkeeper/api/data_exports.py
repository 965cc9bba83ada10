"""/v1/tenants/{name}/data-exports: all that is kept of a tenant as one file, asked for, fetched and removed."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.handed_out import FILE, FileId, Locked, fetched
from innkeeper.api.once import MaybeOnce
from innkeeper.api.schema import OperationDocument
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import ACCEPTED, Wait, accepted
from innkeeper.core.access import Action
from innkeeper.core.exports import Wish

router = APIRouter(prefix="/tenants/{name}/data-exports", tags=["units"])


class CreateDataExport(Locked):
    """Who can open it; left out: everybody who has the file."""


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
    operation = await inn.data_exports.begin(name, Wish(lock=asked.lock), actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.get("/{operation_id}", summary="Fetch a person's data", **FILE)
@needs(Action.EXPORT)
async def fetch(name: Name, operation_id: FileId, inn: TheInn, guest: TheGuest) -> StreamingResponse:
    """The file, which proves by its last member that it is whole. That somebody took it stands in the audit trail."""
    return await fetched(inn.data_exports, name, operation_id, inn=inn, guest=guest)


@router.delete("/{operation_id}", status_code=204, summary="Remove a data export")
@needs(Action.EXPORT)
async def remove(name: Name, operation_id: FileId, inn: TheInn) -> None:
    """Drop the file at once, rather than after a day."""
    await inn.data_exports.drop(name, operation_id)
