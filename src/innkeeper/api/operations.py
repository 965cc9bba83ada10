"""/v1/operations: how far the work is that was asked for."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from innkeeper.api.admission import needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.documents import operation_document
from innkeeper.api.pages import Page, cursor_after
from innkeeper.api.schema import OperationDocument, OperationPage
from innkeeper.api.waiting import Wait, until_over
from innkeeper.core.access import Action
from innkeeper.core.errors import UnknownOperation, UnknownTenant
from innkeeper.core.tenant import NAME

_ID = re.compile(r"op_[0-9a-z]{26}")

router = APIRouter(prefix="/operations", tags=["operations"])


async def _its_tenant(request: Request, inn: Inn) -> str | None:
    """Whose operation it is; nobody's where the tenant is gone, though another may have its name by now."""
    operation_id = request.path_params["operation_id"]
    if not _ID.fullmatch(operation_id):
        return None
    try:
        operation = await inn.control.operation(operation_id)
    except UnknownOperation:
        return None
    tenant = inn.directory.tenant(operation.tenant)
    return tenant.name if tenant is not None and tenant.id == operation.tenant_id else None


@router.get("", summary="List operations")
@needs(Action.HOUSE)
async def index(
    inn: TheInn,
    page: Page,
    tenant: Annotated[str | None, Query(description="Only those of this tenant.")] = None,
    open_only: Annotated[bool, Query(alias="open", description="Only those that haven't ended.")] = False,
) -> OperationPage:
    """Operations, the oldest first. Ended ones are forgotten after a while (`operations_kept_h`)."""
    if tenant is not None and not NAME.fullmatch(tenant):
        raise UnknownTenant(f"There is no tenant {tenant[:60]!r}.")
    async with inn.store.look() as tx:
        read = await tx.operations(tenant=tenant, open_only=open_only, after=page.after, limit=page.take)
    found, more = page.cut(read)
    items = [operation_document(operation) for operation in found]
    return OperationPage(items=items, next_cursor=cursor_after(found[-1].id) if more else None)


@router.get("/{operation_id}", summary="Look at an operation")
@needs(Action.LOOK, of=_its_tenant)
async def show(
    operation_id: Annotated[str, Path(description="The operation's id.")], request: Request, inn: TheInn, wait: Wait = 0
) -> OperationDocument:
    """The operation; with `wait` when it has ended, or as it stands after so many seconds."""
    if not _ID.fullmatch(operation_id):
        raise UnknownOperation(f"There is no operation {operation_id[:60]!r}.")
    if not wait:
        return operation_document(await inn.control.operation(operation_id))
    waiting = inn.control.wait(operation_id, timeout_s=wait)
    return operation_document(await until_over(waiting, request=request, inn=inn))
