"""Egress: is whoever is watched really watched?"""

from __future__ import annotations

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host


async def check(host: Host) -> Finding:
    """Every mode and list holds, and no name is looked up past our name server."""
    facts = host.egress() if host.egress else None
    if facts is None or not facts.watched:
        return Finding(name="egress", status=Status.SKIP, says="no tenant's way out is watched")
    if facts.behind:
        return Finding(
            name="egress",
            status=Status.FAIL,
            says=f"not as it should be: {', '.join(facts.behind[:5])}",
            fix="See the control plane's log: nft refuses, or INNKEEPER_NAMES_PORT belongs to another program.",
        )
    if facts.past_us:
        return Finding(
            name="egress",
            status=Status.WARN,
            says="the host has a name server on loopback, which Docker asks from the host itself, past the lists",
            fix="Set INNKEEPER_DNS to the name servers that tenants should use, and restart the watched tenants.",
        )
    return Finding(name="egress", status=Status.OK, says=f"tenants watched: {facts.watched}")
