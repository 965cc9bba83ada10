"""/v1/drills: snapshots that are brought up, out of everybody's reach, to prove that they can be."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.drill_documents import DrillDocument, DrillPage, RunDrill, drill_document
from innkeeper.api.once import MaybeOnce
from innkeeper.api.pages import Page, Paging, cursor_after
from innkeeper.api.schema import OperationDocument
from innkeeper.api.tenants import Name
from innkeeper.api.waiting import ACCEPTED, Wait, accepted
from innkeeper.core.access import Action
from innkeeper.core.errors import UnknownTenant
from innkeeper.core.tenant import NAME

router = APIRouter(tags=["drills"])


@router.post("/tenants/{name}/drills", summary="Drill a snapshot", **ACCEPTED)
@needs(Action.CHANGE)
async def run(
    name: Name,
    request: Request,
    response: Response,
    inn: TheInn,
    guest: TheGuest,
    once: MaybeOnce,
    body: RunDrill | None = None,
    wait: Wait = 0,
) -> OperationDocument:
    """Restore the snapshot into a throwaway instance on a network that leads nowhere, with its channels off, start it,
    ask it for its sessions, and throw it away. The tenant itself isn't touched. The operation fails where the drill
    does; its `result` tells of one that proved the snapshot."""
    operation = await inn.drills.begin(name, actor=guest.actor, snapshot=(body or RunDrill()).snapshot, once=once)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


@router.get("/tenants/{name}/drills", summary="List a tenant's drills")
@needs(Action.LOOK)
async def of_tenant(name: Name, inn: TheInn, page: Page) -> DrillPage:
    """Those that are over, the newest first."""
    await inn.control.tenant(name)
    return await _page(inn, page, name)


@router.get("/drills", summary="List drills")
@needs(Action.HOUSE)
async def index(
    inn: TheInn,
    page: Page,
    tenant: Annotated[str | None, Query(description="Only those of this tenant.")] = None,
) -> DrillPage:
    """Those that are over, of all tenants, the newest first. One that is under way is an operation of kind `drill`."""
    if tenant is not None and not NAME.fullmatch(tenant):
        raise UnknownTenant(f"There is no tenant {tenant[:60]!r}.")
    return await _page(inn, page, tenant)


async def _page(inn: Inn, page: Paging, tenant: str | None) -> DrillPage:
    async with inn.store.look() as tx:
        read = await tx.drills.newest(tenant=tenant, before=page.after or None, limit=page.take)
    found, more = page.cut(read)
    items: list[DrillDocument] = [drill_document(drill) for drill in found]
    return DrillPage(items=items, next_cursor=cursor_after(found[-1].id) if more else None)
