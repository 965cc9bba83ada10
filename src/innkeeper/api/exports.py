"""/v1/tenants/{name}/exports: a tenant's unit as one file, asked for, fetched and removed."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.handed_out import Locked, check_secrets, file_routes
from innkeeper.api.once import MaybeOnce
from innkeeper.api.schema import OperationDocument
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import ACCEPTED, Wait, accepted
from innkeeper.core.access import Action
from innkeeper.core.exports import Wish

router = APIRouter(prefix="/tenants/{name}/exports", tags=["units"])


class CreateExport(Locked):
    """What an export is to hold, and who can open it."""

    with_secrets: bool = False
    """The tenant's secrets, in the clear within the file; takes the right to its secrets, too."""
    with_image: bool = False
    """The image, so that it runs where that can't be had."""


@router.post("", summary="Export a unit", **ACCEPTED)
@needs(Action.EXPORT)
async def create(
    name: Name,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: CreateExport | None = None,
    wait: Wait = 0,
) -> OperationDocument:
    """One tar of the tenant's folder, which runs by `docker compose up -d` and which another Innkeeper imports.

    The tenant lives on meanwhile, but for a moment in which it is frozen. The operation's `result` says how long that
    was, and what the file is called; it can be fetched for a day.
    """
    asked = body or CreateExport()
    if asked.with_secrets:
        check_secrets(guest, name)
    wish = Wish(with_secrets=asked.with_secrets, with_image=asked.with_image, lock=asked.lock)
    operation = await inn.exports.begin(name, wish, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


file_routes(router, lambda inn: inn.exports, fetch_says="Fetch an export", remove_says="Remove an export")
