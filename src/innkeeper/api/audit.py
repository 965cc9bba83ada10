"""/v1/audit: who changed what, and whether that is still what was written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from innkeeper.api.admission import Guest, TheGuest, asked_about, needs
from innkeeper.api.audit_documents import Asked, EntryPage, VerifyTrail, entry_document, verdict_document
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.pages import Page, cursor_after, number_in
from innkeeper.api.sse import STREAM, Events, EventStream, Sse
from innkeeper.api.waiting import Stopping
from innkeeper.core.access import Action
from innkeeper.core.checking import Head
from innkeeper.core.records import head_of
from innkeeper.core.tenant import Tenant
from innkeeper.core.trail import Sought

router = APIRouter(prefix="/audit", tags=["house"])

PROGRESS_EVERY_S = 0.25
JSON_LINES = "application/x-ndjson"
_EXPORT: dict[str, Any] = {
    "response_class": StreamingResponse,
    "responses": {
        200: {
            "description": "One JSON object a line.",
            "content": {JSON_LINES: {"schema": {"type": "string"}}},
        }
    },
}


class BrokenOff(Exception):
    """An export that can't go on: its connection is cut, so that nobody takes what came for the whole."""


@router.get("", summary="Read the audit trail")
@needs(Action.TRAIL, of=asked_about)
async def index(
    inn: TheInn,
    guest: TheGuest,
    page: Page,
    asked: Asked,
    order: Annotated[Literal["oldest", "newest"], Query(description="Which come first.")] = "oldest",
) -> EntryPage:
    """The trail, the oldest first; it outlives the tenants that it speaks of.

    A tenant's owner sees what concerns the tenant that it is now, and nothing of one that had its name before.
    """
    sought, _ = await _for(guest, inn, asked)
    after = number_in(page.after) if page.after else None
    read = await inn.records.lines(sought, after=after, limit=page.take, newest_first=order == "newest")
    found, more = page.cut(read)
    items = [entry_document(line) for line in found]
    return EntryPage(items=items, next_cursor=cursor_after(str(found[-1].number)) if more else None)


@router.get("/export", summary="Take a copy of the audit trail", **_EXPORT)
@needs(Action.TRAIL, of=asked_about)
async def export(inn: TheInn, guest: TheGuest, asked: Asked) -> StreamingResponse:
    """The same lines, word for word as they stand, each as one line of JSON with its link and the one before.

    `innkeeper audit verify --file` checks them where the keyring is. That somebody took a copy is a line itself.
    """
    if inn.stopping.is_set():
        raise Stopping("The control plane is stopping.")
    sought, tenant = await _for(guest, inn, asked)
    await inn.records.export(guest.actor, sought, tenant=tenant)
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(_copies(sought, inn, guest), media_type=JSON_LINES, headers=headers)


async def _copies(sought: Sought, inn: Inn, guest: Guest) -> AsyncIterator[bytes]:
    async for copies in inn.records.copies(sought):
        if not guest.is_still_welcome() or inn.stopping.is_set():
            raise BrokenOff("the guest went, or the house closes")
        yield "".join(json.dumps(copy) + "\n" for copy in copies).encode()


@router.post("/verify", summary="Check the audit trail", **STREAM)
@needs(Action.HOUSE_TRAIL)
async def verify(inn: TheInn, guest: TheGuest, body: VerifyTrail | None = None) -> EventStream:
    """Go along the whole chain: events `progress` with `done` and `of`, then one `verdict`, or `error`."""
    head = None if body is None or body.head is None else head_of(body.head)
    return EventStream(_verdict(inn, head), guest=guest, stopping=inn.stopping)


async def _verdict(inn: Inn, head: Head | None) -> Events:
    told: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue(1)

    def tell(progress: tuple[int, int] | None) -> None:
        if told.full():
            told.get_nowait()  # only the latest counts
        told.put_nowait(progress)

    checking = asyncio.ensure_future(inn.records.verify(head=head, tell=lambda done, of: tell((done, of))))
    checking.add_done_callback(lambda _: tell(None))
    try:
        while (progress := await told.get()) is not None:
            yield Sse(event="progress", data={"done": progress[0], "of": progress[1]})
            await asyncio.sleep(PROGRESS_EVERY_S)
        verdict = await checking
    finally:
        checking.cancel()
        await asyncio.gather(checking, return_exceptions=True)
    yield Sse(event="verdict", data=verdict_document(verdict).model_dump(mode="json"))


async def _for(guest: Guest, inn: Inn, sought: Sought) -> tuple[Sought, Tenant | None]:
    """What of that is for them; and the tenant, where it is one's own alone."""
    if guest.may(Action.HOUSE_TRAIL, None):
        return sought, None
    tenant = await inn.control.tenant(sought.tenant or "")
    return replace(sought, tenant=None, tenant_id=tenant.id), tenant
