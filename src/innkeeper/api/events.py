"""/v1/events: what happens, as it happens, to all tenants or to one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from innkeeper.api.admission import TheGuest, needs
from innkeeper.api.deps import Inn, TheInn
from innkeeper.api.documents import MB, operation_document, tenant_document
from innkeeper.api.drill_documents import drill_document
from innkeeper.api.sse import STREAM, Events, EventStream, Sse
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action
from innkeeper.core.events import (
    AlertRaised,
    BackupDone,
    BudgetWarned,
    CapacityShort,
    CertificateFailed,
    ConnectionBroken,
    DrillEnded,
    EgressRefused,
    Event,
    MemoryMoved,
    OperationChanged,
    StateChanged,
    StepTaken,
    TenantChanged,
    TenantGone,
    TenantWoken,
)
from innkeeper.core.redaction import redacted
from innkeeper.problems import document

LAG = 256
"""How many events a listener may be behind before the oldest are dropped."""

router = APIRouter(tags=["events"])


@router.get("/events", summary="Listen to everything", **STREAM)
@needs(Action.HOUSE)
async def all_events(inn: TheInn, guest: TheGuest) -> EventStream:
    """Every event from now on: `tenant.changed`, `tenant.state`, `tenant.step`, `tenant.woken`, `tenant.memory`,
    `tenant.keys`, `tenant.secrets`, `tenant.gone`, `capacity.short`, `budget.warned`, `budget.spent`,
    `egress.refused`, `integration.broken`, `certificate.failed`, `backup.done`, `drill`, `alert`, `operation`. A
    listener that is too slow loses the oldest ones and is told so by `lagged`; then look again by GET.
    """
    return EventStream(_events(inn, None), guest=guest, stopping=inn.stopping)


@router.get("/tenants/{name}/events", summary="Listen to one tenant", **STREAM)
@needs(Action.LOOK)
async def tenant_events(name: Name, inn: TheInn, guest: TheGuest) -> EventStream:
    """The same for one tenant; ends when it is gone."""
    await inn.control.tenant(name)
    return EventStream(_events(inn, name), guest=guest, stopping=inn.stopping)


async def _events(inn: Inn, tenant: str | None) -> Events:
    dropped = 0
    with inn.bus.subscribe(LAG) as subscription:
        yield Sse(event="listening", data={"tenant": tenant})
        async for event in subscription:
            if subscription.dropped > dropped:
                yield Sse(event="lagged", data={"dropped": subscription.dropped - dropped})
                dropped = subscription.dropped
            if tenant is not None and event.tenant != tenant:
                continue
            yield Sse(event=event.kind, data=redacted(_document(event, inn)))
            if tenant is not None and isinstance(event, TenantGone):
                return


def _document(event: Event, inn: Inn) -> dict[str, Any]:
    told: dict[str, Any] = {"tenant": event.tenant, "at": event.at.isoformat()}
    match event:
        case TenantChanged(now=tenant):
            told["now"] = _json(tenant_document(tenant, inn, inn.measured.last(tenant)))
        case StateChanged(now=tenant, before=before):
            told["before"] = before
            told["now"] = _json(tenant_document(tenant, inn, inn.measured.last(tenant)))
        case OperationChanged(operation=operation):
            told["operation"] = _json(operation_document(operation))
        case StepTaken(step=step, seconds=seconds, problem=problem):
            told |= {"step": step, "seconds": round(seconds, 3), "problem": problem}
        case TenantWoken(rung=rung, seconds=seconds):
            told |= {"rung": rung, "seconds": round(seconds, 3)}
        case MemoryMoved(trimmed=trimmed, paged=paged):
            told |= {
                "trimmed": trimmed,
                "before_mb": paged.before_bytes // MB,
                "after_mb": paged.after_bytes // MB,
                "skipped": paged.skipped,
            }
        case CapacityShort(problem=problem):
            told |= {"problem": document(problem)}
        case BudgetWarned():
            told |= {name: getattr(event, name) for name in ("limit", "period", "most", "used")}
        case CertificateFailed(host=host, says=says):
            told |= {"host": host, "says": says}
        case ConnectionBroken(integration=integration, why=why):
            told |= {"integration": integration, "why": why}
        case DrillEnded(drill=drill):
            told["drill"] = _json(drill_document(drill))
        case BackupDone():
            told |= {name: getattr(event, name) for name in ("snapshot", "way", "seconds", "frozen_s", "bytes_added")}
        case AlertRaised(code=code, says=says):
            told |= {"code": code, "says": says}
        case EgressRefused(name=name):
            told["name"] = name
    return told


def _json(document: BaseModel) -> dict[str, Any]:
    return document.model_dump(mode="json")
