"""Certificates: could each host get its own?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from innkeeper.core.certificates import CertificateState
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

NAME = "certificates"


async def check(host: Host) -> Finding:
    """Every certificate that is there, and the attempts of the last day that failed."""
    if host.certificates is None:
        return Finding(name=NAME, status=Status.SKIP, says="the edge serves plain HTTP")
    now = datetime.fromtimestamp(host.now_s(), UTC)
    look = await asyncio.to_thread(host.certificates)
    states = look.states(now)
    if look.failures:
        last = max(look.failures, key=lambda failure: failure.at)
        served = {each.host for each in look.found if each.expires_at > now}
        unserved = {failure.host for failure in look.failures} - served
        return Finding(
            name=NAME,
            status=Status.FAIL if unserved else Status.WARN,
            says=f"{len(look.failures)} can't be got or renewed, last that of {last.host} at {last.at:%Y-%m-%d %H:%M} "
            f"UTC: {last.says}",
            fix="Is the authority there, and does the host point here (`innkeeper tenant hostnames NAME`) with port 80 "
            "open? Caddy tries again by itself; whoever has a certificate is served until that is over.",
        )
    own = next((each for each in look.found if each.is_own and each.is_late(now)), None)
    if own is not None:
        return Finding(
            name=NAME,
            status=Status.FAIL if own.expires_at <= now else Status.WARN,
            says=f"your own ends at {own.expires_at:%Y-%m-%d %H:%M} UTC",
            fix="Renew it in place: it is taken up within a minute.",
        )
    late = sum(state is CertificateState.EXPIRING for state in states.values())
    says = f"{len(states)} there"
    if late:
        says += f", {late} of them for hosts that nobody has visited lately: renewed at the next visit"
    return Finding(name=NAME, status=Status.OK, says=says)
