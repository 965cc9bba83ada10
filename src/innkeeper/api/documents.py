"""From the core's values to the documents of the API."""

from __future__ import annotations

from datetime import datetime

from innkeeper.api.deps import Inn
from innkeeper.api.schema import (
    HoldDocument,
    InboxPathDocument,
    LimitsDocument,
    MemoryDocument,
    OperationDocument,
    ProgressDocument,
    SkippedDocument,
    SleepDocument,
    TenantDocument,
    TroubleDocument,
)
from innkeeper.core.instance import Usage
from innkeeper.core.ladder import WINDOWS
from innkeeper.core.operations import Operation, Trouble
from innkeeper.core.tenant import Tenant
from innkeeper.telemetry import redact

MB = 1 << 20


def tenant_document(tenant: Tenant, inn: Inn, usage: Usage | None = None) -> TenantDocument:
    """A tenant as the API shows it."""
    spec, seen = tenant.spec, tenant.seen
    active = inn.directory.last_activity(tenant)
    return TenantDocument(
        name=tenant.name,
        agent=spec.agent,
        release=spec.release,
        mode=spec.mode,
        wanted=tenant.wanted,
        state=seen.state,
        url=inn.hosting.url(tenant),
        hostnames=list(spec.hostnames),
        access=spec.access,
        public_paths=list(spec.public_paths),
        inbox=_inbox_documents(tenant),
        limits=LimitsDocument(memory_mb=spec.limits.memory_mb, cpus=spec.limits.cpus, pids=spec.limits.pids),
        sleep=_sleep_document(tenant, inn),
        idle_s=seconds_since(active, inn.clock.now()),
        last_activity=active,
        next_wake=seen.next_wake,
        memory=memory_document(usage),
        ready=seen.ready,
        error=redact(seen.error) if seen.error else None,
        revision=tenant.revision,
        created_at=tenant.created_at,
    )


def _inbox_documents(tenant: Tenant) -> list[InboxPathDocument]:
    own = {each.path for each in tenant.spec.inbox}
    return [
        *(InboxPathDocument(**vars(each), by="spec") for each in tenant.spec.inbox),
        *(InboxPathDocument(**vars(each), by="agent") for each in tenant.seen.webhooks if each.path not in own),
    ]


def _sleep_document(tenant: Tenant, inn: Inn) -> SleepDocument:
    policy = tenant.spec.sleep
    missing = inn.control.offer.missing
    return SleepDocument(
        **{**vars(policy), "schedule": list(policy.schedule)},
        holds=[
            HoldDocument(kind=hold.kind, why=redact(hold.why), since=hold.since) for hold in inn.holds.of(tenant.name)
        ],
        skipped=[
            SkippedDocument(rung=rung, why=missing[rung])
            for window, rung in WINDOWS.items()
            if getattr(policy, window) is not None and rung in missing
        ],
    )


def memory_document(usage: Usage | None) -> MemoryDocument | None:
    """The memory of what was measured."""
    if usage is None:
        return None
    return MemoryDocument(rss_mb=(usage.rss_bytes + usage.swap_bytes) // MB, resident_mb=usage.rss_bytes // MB)


def operation_document(operation: Operation) -> OperationDocument:
    """An operation as the API shows it."""
    return OperationDocument(
        id=operation.id,
        kind=operation.kind,
        tenant=operation.tenant,
        status=operation.status,
        progress=ProgressDocument(**vars(operation.progress)),
        error=_trouble_document(operation.error) if operation.error else None,
        revision=operation.revision,
        created_at=operation.created_at,
        updated_at=operation.updated_at,
        deadline=operation.deadline,
    )


def seconds_since(then: datetime | None, now: datetime) -> int | None:
    """Whole seconds, never less than none."""
    return None if then is None else max(0, int((now - then).total_seconds()))


def _trouble_document(trouble: Trouble) -> TroubleDocument:
    return TroubleDocument(code=trouble.code, detail=redact(trouble.message), hint=trouble.hint or None)
