"""StartClaw's endpoints for backups, so that its clients keep working."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from innkeeper.api.admission import Guest, admitted_with_x_auth_token, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Body, OperationDocument
from innkeeper.api.waiting import ACCEPTED, Wait, accepted, until_over
from innkeeper.core.access import Action
from innkeeper.core.errors import UnknownTenant
from innkeeper.core.tenant import NAME

router = APIRouter(tags=["seeds"])

TheSeedGuest = Annotated[Guest, Depends(admitted_with_x_auth_token)]


class TriggerBackup(Body):
    """Which tenant."""

    tenant: str = Field(max_length=200)


@router.post("/backup", summary="Trigger a backup (StartClaw)", **ACCEPTED)
@needs(Action.BACKUP)
async def backup(
    body: TriggerBackup, request: Request, response: Response, inn: TheInn, guest: TheSeedGuest, wait: Wait = 0
) -> OperationDocument:
    """A snapshot of a tenant, as with `POST /v1/tenants/{name}/backups`; for those who run the platform."""
    if not NAME.fullmatch(body.tenant):
        raise UnknownTenant(f"There is no tenant {body.tenant[:60]!r}.")
    operation = await inn.backups.create(body.tenant, actor=guest.actor)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)


class RestoreInstance(Body):
    """Which tenant, and of which day: what `restore.sh user123 2026-02-08` is told."""

    tenant: str = Field(max_length=200)
    day: date | None = Field(default=None, alias="date", examples=["2026-02-08"])
    """The last snapshot of that day, in UTC, or the newest before it; null: the newest."""


@router.post("/restore", summary="Restore from a backup (StartClaw)", **ACCEPTED)
@needs(Action.BACKUP)
async def restore(
    body: RestoreInstance, request: Request, response: Response, inn: TheInn, guest: TheSeedGuest, wait: Wait = 0
) -> OperationDocument:
    """Restore a tenant in place, as with `POST /v1/tenants/{name}/restore`; for those who run the platform."""
    if not NAME.fullmatch(body.tenant):
        raise UnknownTenant(f"There is no tenant {body.tenant[:60]!r}.")
    at = None
    if body.day is not None:
        at = datetime.combine(body.day, time(), UTC) + timedelta(days=1) - timedelta(microseconds=1)
    whole_spec = guest.may(Action.CHANGE, body.tenant)
    work = inn.restores.in_place(body.tenant, at=at, actor=guest.actor, whole_spec=whole_spec)
    operation = await until_over(work, request=request, inn=inn)
    return await accepted(operation, wait=wait, request=request, response=response, inn=inn)
