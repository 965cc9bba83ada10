"""The sleep ladder: which of its rungs this host can offer."""

from __future__ import annotations

from innkeeper.core.ladder import Rung
from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

NOT_MISSED = {Rung.SAVED}
"""Nobody is worse off for these on a host of today."""


async def check(host: Host) -> Finding:
    """What was found possible when the control plane started, and since."""
    if host.missing_rungs is None:
        return Finding(
            name="ladder", status=Status.SKIP, says="the control plane, which tries the rungs, isn't running"
        )
    missed = {rung: why for rung, why in host.missing_rungs.items() if rung not in NOT_MISSED}
    if missed:
        return Finding(
            name="ladder",
            status=Status.WARN,
            says="idle tenants skip " + "; ".join(f"`{rung}`: {why}" for rung, why in missed.items()),
            fix="Where swap is missing, see `innkeeper host swap`. Until then they go on to the next rung.",
        )
    offered = [str(rung) for rung in Rung if rung is not Rung.RUNNING and rung not in host.missing_rungs]
    return Finding(name="ladder", status=Status.OK, says=f"idle tenants can be {', '.join(offered)}")
