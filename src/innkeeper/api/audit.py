"""/v1/audit: who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from innkeeper.api.admission import asked_about, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.pages import Page, cursor_after, number_in
from innkeeper.api.schema import Document, ItemsOf
from innkeeper.core.access import Action
from innkeeper.core.errors import UnknownTenant
from innkeeper.core.tenant import NAME

router = APIRouter(prefix="/audit", tags=["house"])


class EntryDocument(Document):
    """One line of the trail."""

    number: int
    at: datetime
    actor: str
    """`admin`, `system`, or the id of a tenant's key."""
    action: str
    tenant: str | None
    tenant_id: str | None
    """Tells apart tenants that had the same name one after the other."""
    detail: dict[str, Any]


class EntryPage(ItemsOf[EntryDocument]):
    """One page of the trail."""


@router.get("", summary="Read the audit trail")
@needs(Action.TRAIL, of=asked_about)
async def index(
    inn: TheInn, page: Page, tenant: Annotated[str | None, Query(description="Only what concerns this tenant.")] = None
) -> EntryPage:
    """The trail, the oldest first; it outlives the tenants that it speaks of."""
    if tenant is not None and not NAME.fullmatch(tenant):
        raise UnknownTenant(f"There is no tenant {tenant[:60]!r}.")
    async with inn.store.look() as tx:
        read = await tx.trail(tenant=tenant, after=number_in(page.after), limit=page.take)
    found, more = page.cut(read)
    items = [
        EntryDocument(
            number=number,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            tenant=entry.tenant,
            tenant_id=entry.tenant_id,
            detail=dict(entry.detail),
        )
        for number, entry in found
    ]
    return EntryPage(items=items, next_cursor=cursor_after(str(found[-1][0])) if more else None)
