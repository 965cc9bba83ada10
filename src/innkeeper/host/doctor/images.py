"""Images: does each tenant's release still have its image here?"""

from __future__ import annotations

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host


async def check(host: Host) -> Finding:
    """Every image that a tenant would be started from."""
    if host.tenants is None:
        return Finding(name="images", status=Status.SKIP, says="the store can't be read")
    used = {tenant.image: tenant for tenant in host.tenants}
    missing = [tenant for image, tenant in used.items() if await host.engine(f"/images/{image}/json") is None]
    if missing:
        names = ", ".join(f"{tenant.agent} {tenant.release}" for tenant in missing)
        return Finding(
            name="images",
            status=Status.FAIL,
            says=f"gone: {names}; tenants that run it can't be started",
            fix=" · ".join(sorted({f"innkeeper image build {tenant.agent}" for tenant in missing})),
        )
    return Finding(name="images", status=Status.OK, says=f"{len(used)} in use, all here")
