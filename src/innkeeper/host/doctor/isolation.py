"""Isolation: what a tenant can really reach, tried from inside one."""

from __future__ import annotations

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host


async def check(host: Host) -> Finding:
    """The broker and nothing else of this host, no neighbour, no private range."""
    seen = await host.isolation() if host.isolation else None
    if seen is None:
        return Finding(name="isolation", status=Status.SKIP, says="no tenant is running to look from")
    if seen.leaks:
        return Finding(
            name="isolation",
            status=Status.FAIL,
            says=f"{seen.tenant} reaches {', '.join(seen.leaks)}",
            fix="Restart the control plane: it sets its firewall table again. "
            "If it stays, stop the tenants and report it: see SECURITY.md.",
        )
    if seen.missing:
        return Finding(
            name="isolation",
            status=Status.WARN,
            says=f"{seen.tenant} is shut in, but can't reach {', '.join(seen.missing)}",
            fix="See whether the control plane runs (`innkeeper status`), then the host's own firewall.",
        )
    return Finding(name="isolation", status=Status.OK, says=f"proven from inside {seen.tenant}")
