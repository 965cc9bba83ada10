"""StartClaw's `POST /restore`: a user's instance as it was on a day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from innkeeper.api.admission import Guest, admitted_with_x_auth_token, needs
from innkeeper.api.deps import TheInn
from innkeeper.api.schema import Body, OperationDocument, TenantName
from innkeeper.api.waiting import ACCEPTED, accepted, until_over
from innkeeper.core.access import Action

router = APIRouter(tags=["seeds"])

TheSeedGuest = Annotated[Guest, Depends(admitted_with_x_auth_token)]


class RestoreInstance(Body):
    """Whose, and of which day: what StartClaw's `restore.sh user123 2026-02-08` is told."""

    user_id: TenantName = Field(alias="userId", examples=["user123"])
    day: date | None = Field(default=None, alias="date", examples=["2026-02-08"])
    """The last snapshot of that day, in UTC, or the newest before it; null: the newest."""


@router.post("/restore", summary="Restore an instance (StartClaw)", **ACCEPTED)
@needs(Action.BACKUP)
async def restore(
    body: RestoreInstance, request: Request, response: Response, inn: TheInn, guest: TheSeedGuest
) -> OperationDocument:
    """Restore it in place, as `POST /v1/tenants/{name}/restore` does."""
    at = None
    if body.day is not None:
        at = datetime.combine(body.day + timedelta(days=1), time(), UTC) - timedelta(microseconds=1)
    work = inn.restores.in_place(
        body.user_id, at=at, actor=guest.actor, whole_spec=guest.may(Action.CHANGE, body.user_id)
    )
    operation = await until_over(work, request=request, inn=inn)
    return await accepted(operation, wait=0, request=request, response=response, inn=inn)
