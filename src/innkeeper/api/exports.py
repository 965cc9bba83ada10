"""/v1/tenants/{name}/exports: a tenant's unit as one file, asked for, fetched and removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from fastapi.responses import StreamingResponse
from pydantic import Field

from innkeeper.api.admission import Guest, TheGuest, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.once import MaybeOnce
from innkeeper.api.schema import Body, OperationDocument
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import ACCEPTED, Stopping, Wait, accepted
from innkeeper.core.access import Action
from innkeeper.core.errors import Forbidden
from innkeeper.core.exports import PASSPHRASE_MAX, Wish
from innkeeper.core.ports.exports import Lock

MEDIA_TYPE = "application/octet-stream"
_CHUNK = 256 << 10
FILE: dict[str, Any] = {
    "response_class": StreamingResponse,
    "responses": {200: {"description": "The file.", "content": {MEDIA_TYPE: {}}}},
}

router = APIRouter(prefix="/tenants/{name}/exports", tags=["units"])


class BrokenOff(Exception):
    """The file isn't to be sent to its end; whoever fetches it finds it too short."""


class CreateExport(Body):
    """What an export is to hold, and who can open it."""

    with_secrets: bool = False
    """The tenant's secrets, in the clear within the file; takes the right to its secrets, too."""
    with_image: bool = False
    """The image, so that it runs where that can't be had."""
    recipients: list[str] = Field(default=[], max_length=20, examples=[["age1…"]])
    """Encrypted to these: age recipients, or SSH public keys. Without one of the two it isn't encrypted."""
    passphrase: str | None = Field(
        default=None,
        min_length=1,
        max_length=PASSPHRASE_MAX,
        repr=False,
        json_schema_extra={"format": "password", "writeOnly": True},
    )
    """Or with this passphrase, as `age -p` does. Kept, encrypted, until the file is made."""


ExportId = Annotated[str, InPath(description="The id of the operation that made it.")]


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
        _check_secrets(guest, name)
    wish = Wish(
        with_secrets=asked.with_secrets,
        with_image=asked.with_image,
        lock=Lock(recipients=tuple(asked.recipients), passphrase=asked.passphrase),
    )
    operation = await inn.exports.begin(name, wish, actor=guest.actor, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.get("/{operation_id}", summary="Fetch an export", **FILE)
@needs(Action.EXPORT)
async def fetch(name: Name, operation_id: ExportId, inn: TheInn, guest: TheGuest) -> StreamingResponse:
    """The file, which proves by its last member that it is whole. That somebody took it stands in the audit trail."""
    if inn.stopping.is_set():
        raise Stopping("The control plane is stopping.")
    if await inn.exports.wants_secrets(name, operation_id):
        _check_secrets(guest, name)
    path, called = await inn.exports.fetch(name, operation_id, actor=guest.actor)
    return await file_answer(path, called, inn, guest)


async def file_answer(path: Path, called: str, inn: Inn, guest: Guest) -> StreamingResponse:
    """The file, to be kept by that name; it breaks off when the guest isn't welcome any more."""
    size = (await asyncio.to_thread(path.stat)).st_size
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{called}"',
        "Content-Length": str(size),
    }
    return StreamingResponse(_pieces(path, inn, guest), media_type=MEDIA_TYPE, headers=headers)


@router.delete("/{operation_id}", status_code=204, summary="Remove an export")
@needs(Action.EXPORT)
async def remove(name: Name, operation_id: ExportId, inn: TheInn) -> None:
    """Drop the file at once, rather than after a day."""
    await inn.exports.drop(name, operation_id)


def _check_secrets(guest: Guest, name: str) -> None:
    if not guest.may(Action.SECRETS, name):
        raise Forbidden(
            "This credential isn't for secrets.", hint=f"It would need `{Action.SECRETS}`; see the access reference."
        )


async def _pieces(path: Path, inn: Inn, guest: Guest) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, _CHUNK):
            if not guest.is_still_welcome() or inn.stopping.is_set():
                raise BrokenOff("the guest went, or the house closes")
            yield piece
    finally:
        file.close()
