"""/v1/tenants/{name}/stats: what a tenant uses right now."""

from __future__ import annotations

from fastapi import APIRouter

from innkeeper.api.admission import needs
from innkeeper.api.deps import TheInn
from innkeeper.api.documents import MB, memory_document, seconds_since
from innkeeper.api.schema import StatsDocument
from innkeeper.api.tenants import Name
from innkeeper.core.access import Action

router = APIRouter(prefix="/tenants/{name}", tags=["tenants"])


@router.get("/stats", summary="Measure a tenant")
@needs(Action.LOOK)
async def stats(name: Name, inn: TheInn) -> StatsDocument:
    """Memory, CPU and processes, read from the kernel's own files."""
    tenant = await inn.control.tenant(name)
    instance, usage = await inn.measured.now(tenant, inn.runtime)
    now = inn.clock.now()
    return StatsDocument(
        tenant=tenant.name,
        state=tenant.seen.state,
        measured_at=now,
        memory=memory_document(usage, await inn.measured.host(inn.memory)),
        charged_mb=usage.memory_bytes // MB if usage else None,
        limit_mb=tenant.spec.limits.memory_mb,
        cpu_s=round(usage.cpu_s, 3) if usage else None,
        pids=usage.pids if usage else None,
        uptime_s=seconds_since(instance.started_at, now) if usage and instance else None,
        idle_s=seconds_since(inn.directory.last_activity(tenant), now),
    )
