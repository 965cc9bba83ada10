"""From the core's values to the documents of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from innkeeper.api.backup_documents import BackupDocument, backup_document
from innkeeper.api.deps import Inn
from innkeeper.api.proof_document import proof_document
from innkeeper.api.schema import (
    InboxPathDocument,
    LimitsDocument,
    MemoryDocument,
    OperationDocument,
    ProgressDocument,
    TenantDocument,
    TroubleDocument,
)
from innkeeper.api.sleep_documents import sleep_document, wake_document
from innkeeper.api.uses_schema import UsesBody
from innkeeper.core.backups import Overview
from innkeeper.core.instance import Usage
from innkeeper.core.operations import Operation, Trouble
from innkeeper.core.ports import MemoryNow
from innkeeper.core.redaction import redact
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import RESULT

MB = 1 << 20


def tenant_document(
    tenant: Tenant,
    inn: Inn,
    usage: Usage | None = None,
    host: MemoryNow | None = None,
    backup: Overview | None = None,
) -> TenantDocument:
    """A tenant as the API shows it; `host` tells what compressed swap takes, and `backup` how its backups stand now:
    else as they did two minutes ago at the most."""
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
        config=dict(spec.config),
        uses=UsesBody.model_validate(asdict(spec.uses)),
        packs=list(spec.packs),
        limits=LimitsDocument(**vars(spec.limits)),
        sleep=sleep_document(tenant, inn),
        idle_s=seconds_since(active, inn.clock.now()),
        last_activity=active,
        next_wake=seen.next_wake,
        wake=wake_document(tenant, inn),
        memory=memory_document(usage, host),
        ready=seen.ready,
        error=redact(seen.error) if seen.error else None,
        closed=tenant.closed,
        fenced=tenant.fenced,
        proven=proof_document(inn.proofs.of(tenant)),
        backup=_backup_document(tenant, inn, backup),
        revision=tenant.revision,
        created_at=tenant.created_at,
    )


def _backup_document(tenant: Tenant, inn: Inn, backup: Overview | None) -> BackupDocument | None:
    if not inn.backups.targets:
        return None
    return backup_document(backup or inn.backups.of(tenant, inn.backups.known.get(tenant.id)), inn.clock.now())


def _inbox_documents(tenant: Tenant) -> list[InboxPathDocument]:
    own = {each.path for each in tenant.spec.inbox}
    return [
        *(InboxPathDocument(**vars(each), by="spec") for each in tenant.spec.inbox),
        *(InboxPathDocument(**vars(each), by="agent") for each in tenant.seen.webhooks if each.path not in own),
    ]


def memory_document(usage: Usage | None, host: MemoryNow | None = None) -> MemoryDocument | None:
    """The memory of what was measured."""
    if usage is None:
        return None
    swap_mb = usage.swap_bytes // MB
    return MemoryDocument(
        rss_mb=(usage.rss_bytes + usage.swap_bytes) // MB,
        resident_mb=usage.rss_bytes // MB,
        swap_mb=swap_mb,
        zram_mb=host.compressed_mb(swap_mb) if host else None,
        charged_mb=usage.memory_bytes // MB,
    )


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
        result=_shown(operation.detail.get(RESULT)) if operation.status.ended else None,
    )


def _shown(told: Any) -> Any:
    """What came of a work may name files, and their names need not be text."""
    if isinstance(told, str):
        return told.encode(errors="replace").decode()
    if isinstance(told, Mapping):
        return {_shown(key): _shown(value) for key, value in told.items()}
    return [_shown(each) for each in told] if isinstance(told, list | tuple) else told


def seconds_since(then: datetime | None, now: datetime) -> int | None:
    """Whole seconds, never less than none."""
    return None if then is None else max(0, int((now - then).total_seconds()))


def _trouble_document(trouble: Trouble) -> TroubleDocument:
    return TroubleDocument(code=trouble.code, detail=redact(trouble.message), hint=trouble.hint or None)
