"""/v1/packs: core content for tenants, in versions that never change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.requests import ClientDisconnect

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.pack_documents import PackDocument, PackPage, pack_document
from innkeeper.core.access import Action
from innkeeper.core.pack_errors import InvalidPack

router = APIRouter(prefix="/packs", tags=["packs"])
_TARBALL: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("", summary="List packs")
@needs(Action.HOUSE)
async def index(inn: TheInn) -> PackPage:
    """All versions of all packs by name, the newest first, on one page."""
    return PackPage(items=[pack_document(each) for each in await inn.packs.all()])


@router.post("", status_code=201, summary="Add a pack", openapi_extra=_TARBALL)
@needs(Action.BUILD)
async def add(request: Request, inn: TheInn, guest: TheGuest) -> PackDocument:
    """A tarball, plain or packed with gzip: `pack.toml` with `name`, `version` and perhaps `title` and `target`, and
    beside it regular files and folders. The same one again is fine; another content needs another version."""
    return pack_document(await inn.packs.add(_uploaded(request), actor=guest.actor))


@router.delete("/{pack}/{version}", status_code=204, summary="Delete a pack's version")
@needs(Action.BUILD)
async def delete(
    pack: Annotated[str, Path(description="The pack's name.")],
    version: Annotated[str, Path(description="Its version.")],
    inn: TheInn,
    guest: TheGuest,
) -> None:
    """Away with a version that nobody is to have; what tenants were delivered of it stays theirs."""
    await inn.packs.delete(pack, version, actor=guest.actor)


async def _uploaded(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise InvalidPack("The upload broke off.") from None
