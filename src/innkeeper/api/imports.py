"""/v1/units/import: units of other systems and exports of our own, looked at and taken in."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.requests import ClientDisconnect

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.documents import operation_document
from innkeeper.api.import_documents import ImportAnswer, ImportUnits, asked_of, plan_document
from innkeeper.api.once import MaybeKey, MaybeOnce, once_of
from innkeeper.core.access import Action
from innkeeper.core.adoption import Asked, Seed
from innkeeper.core.errors import Invalid
from innkeeper.core.import_errors import ArchiveDamaged

router = APIRouter(prefix="/units", tags=["units"])

TAR = "application/x-tar"


@router.post("/import", summary="Import units from a path on the host", status_code=202)
@needs(Action.IMPORT)
async def from_path(
    body: ImportUnits, response: Response, inn: TheInn, guest: TheGuest, once: MaybeOnce
) -> ImportAnswer:
    """Adopt what lies at a path on this host, in another system's layout or as an export of ours; nothing of it is
    changed. With `dry_run` the answer says what would become of it (200), and nothing is written. For admins alone: the
    control plane reads the path with its own rights."""
    asked = asked_of(body)
    if body.dry_run:
        response.status_code = 200
        return ImportAnswer(units=[plan_document(plan) for plan in await inn.importing.look(asked)], operations=[])
    begun = await inn.importing.begin(asked, actor=guest.actor, fenced=not body.channels_on, once=once)
    return ImportAnswer(units=[], operations=[operation_document(each) for each in begun])


@router.put(
    "/import",
    summary="Import an export that is sent along",
    status_code=202,
    openapi_extra={"requestBody": {"required": True, "content": {TAR: {"schema": {"type": "string"}}}}},
)
@needs(Action.CREATE)
async def sent(
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    key: MaybeKey,
    name: Annotated[str | None, Query(alias="as", description="The tenant's name; else that of the export.")] = None,
    release: Annotated[str | None, Query(description="Another version of the agent.")] = None,
    partial: Annotated[bool, Query(description="Take what is there of a unit of which something is missing.")] = False,
    channels_on: Annotated[bool, Query(description="Start with its channels on.")] = False,
    dry_run: Annotated[bool, Query(description="Only say what would become of it.")] = False,
) -> ImportAnswer:
    """The body is the tar that `unit export` wrote, plain or packed by gzip, and decrypted; as large as a unit is. Sent
    again with the same Idempotency-Key it is thrown away, and the first import answered."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != TAR:
        raise Invalid(f"The body has to be a tar ({TAR}).", field="body")
    asked = Asked(seed=Seed.INNKEEPER, path="", name=name, release=release, partial=partial)
    told = hashlib.sha256()
    upload = await inn.importing.receive(_pieces(request, told.update))
    once = None if key is None else once_of(request, key, told.hexdigest())
    kept = False
    try:
        if dry_run:
            response.status_code = 200
            plans: list[Any] = [plan_document(plan) for plan in await inn.importing.look(asked, upload)]
            return ImportAnswer(units=plans, operations=[])
        begun = await inn.importing.begin(asked, actor=guest.actor, upload=upload, fenced=not channels_on, once=once)
        kept = any(each.detail["upload"] == upload for each in begun)
    finally:
        if not kept:
            await inn.importing.drop(upload)
    return ImportAnswer(units=[], operations=[operation_document(each) for each in begun])


async def _pieces(request: Request, tell: Callable[[bytes], object]) -> AsyncIterator[bytes]:
    """The body as it comes, each piece told."""
    try:
        async for piece in request.stream():
            tell(piece)
            yield piece
    except ClientDisconnect:
        raise ArchiveDamaged("Whoever sent it left in the middle.") from None
