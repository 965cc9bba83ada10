"""/v1/tenants/{name}/data-exports: all that is kept of a tenant as one file, asked for, fetched and removed."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.handed_out import Locked, file_routes
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


file_routes(
    router, lambda inn: inn.data_exports, fetch_says="Fetch a person's data", remove_says="Remove a data export"
)
