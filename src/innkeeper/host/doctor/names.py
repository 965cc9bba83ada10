"""Names: does any tenant have one that the edge needs for itself?"""

from __future__ import annotations

from innkeeper.core.hosting import CONSOLE
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host


async def check(host: Host) -> Finding:
    """A tenant that was made before the console had its host can't be reached at it any more."""
    if host.tenants is None:
        return Finding(name="names", status=Status.SKIP, says="the store can't be read")
    if any(tenant.name == CONSOLE for tenant in host.tenants):
        return Finding(
            name="names",
            status=Status.FAIL,
            says=f"a tenant is called {CONSOLE}: the console has taken its host",
            fix="Give it a hostname of its own (`innkeeper tenant update console --hostname HOST`), or make it anew "
            "under another name.",
        )
    return Finding(name="names", status=Status.OK, says="no tenant's name is in the edge's way")
