"""Files that an operation has made: who they are encrypted to, and how they are fetched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Path as InPath
from fastapi.responses import StreamingResponse
from pydantic import Field

from innkeeper.api.admission import Guest, TheGuest, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.schema import Body
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import Stopping
from innkeeper.core.access import Action
from innkeeper.core.errors import Forbidden
from innkeeper.core.exports import PASSPHRASE_MAX
from innkeeper.core.handing_out import HandingOut
from innkeeper.core.ports.exports import Lock

MEDIA_TYPE = "application/octet-stream"
_CHUNK = 256 << 10
FILE: dict[str, Any] = {
    "response_class": StreamingResponse,
    "responses": {200: {"description": "The file.", "content": {MEDIA_TYPE: {}}}},
}
FileId = Annotated[str, InPath(alias="operation_id", description="The id of the operation that made it.")]


class BrokenOff(Exception):
    """The file isn't to be sent to its end; whoever fetches it finds it too short."""


class Locked(Body):
    """Who can open a file; left out: everybody who has it."""

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

    @property
    def lock(self) -> Lock:
        """The same for the core."""
        return Lock(recipients=tuple(self.recipients), passphrase=self.passphrase)


def file_routes(router: APIRouter, desk: Callable[[Inn], HandingOut], *, fetch_says: str, remove_says: str) -> None:
    """Let what the desk hands out be fetched and removed."""

    @router.get("/{operation_id}", summary=fetch_says, **FILE)
    @needs(Action.EXPORT)
    async def fetch(name: Name, operation_id: FileId, inn: TheInn, guest: TheGuest) -> StreamingResponse:
        """The file, which proves by its last member that it is whole. That somebody took it stands in the audit
        trail."""
        return await _fetched(desk(inn), name, operation_id, inn=inn, guest=guest)

    @router.delete("/{operation_id}", status_code=204, summary=remove_says)
    @needs(Action.EXPORT)
    async def remove(name: Name, operation_id: FileId, inn: TheInn) -> None:
        """Drop the file at once, rather than after a day."""
        await desk(inn).drop(name, operation_id)


async def _fetched(desk: HandingOut, name: str, operation_id: str, *, inn: Inn, guest: Guest) -> StreamingResponse:
    """The file, to be kept by its name; it breaks off when the guest isn't welcome any more."""
    if inn.stopping.is_set():
        raise Stopping("The control plane is stopping.")
    if await desk.wants_secrets(name, operation_id):
        check_secrets(guest, name)
    path, called = await desk.fetch(name, operation_id, actor=guest.actor)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{called}"',
        "Content-Length": str((await asyncio.to_thread(path.stat)).st_size),
    }
    return StreamingResponse(_pieces(path, inn, guest), media_type=MEDIA_TYPE, headers=headers)


def check_secrets(guest: Guest, name: str) -> None:
    """Forbidden to whom its secrets aren't for."""
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
