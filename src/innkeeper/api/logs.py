"""/v1/tenants/{name}/logs: what a tenant's instance writes, as a stream of events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.sse import STREAM, Events, EventStream, Sse
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action
from innkeeper.core.instance import Instance
from innkeeper.core.records import Look
from innkeeper.core.redaction import redact

TAIL, TAIL_MAX = 200, 100_000

router = APIRouter(prefix="/tenants/{name}", tags=["tenants"])


@router.get("/logs", summary="Read a tenant's log", **STREAM)
@needs(Action.READ)
async def logs(
    name: Name,
    inn: TheInn,
    guest: TheGuest,
    follow: Annotated[bool, Query(description="Go on as it writes, until its instance ends.")] = False,
    tail: Annotated[int, Query(ge=0, le=TAIL_MAX, description="How many of the latest lines to begin with.")] = TAIL,
    since: Annotated[
        datetime | None, Query(description="Nothing older than this moment (RFC 3339; UTC where no zone is given).")
    ] = None,
) -> EventStream:
    """Events `line` with `at`, `stream` and `text`, then one `end`. Credentials that look like one are blotted out."""
    await inn.records.looked(guest.actor, await inn.control.tenant(name), Look.LOG)
    instance = await inn.runtime.get(name)
    lines = _lines(instance, inn, follow=follow, tail=tail, since=_aware(since))
    return EventStream(lines, guest=guest, stopping=inn.stopping)


async def _lines(instance: Instance, inn: Inn, *, follow: bool, tail: int, since: datetime | None) -> Events:
    if instance.exists:
        async for line in inn.runtime.logs(instance, follow=follow, since=since, tail=tail):
            yield Sse(event="line", data={"at": line.at.isoformat(), "stream": line.stream, "text": redact(line.text)})
    yield Sse(event="end", data={"state": instance.state})


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
