"""The audit trail: does it end where it was last written, and what did the last check find?"""

from __future__ import annotations

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host


async def check(host: Host) -> Finding:
    """Its end alone: going along the whole of a long one is for `innkeeper audit verify`."""
    if host.trail is None:
        says = "the control plane, which has the trail, isn't running; `innkeeper audit verify --offline` checks it"
        return Finding(name="audit", status=Status.SKIP, says=says)
    found = await host.trail()
    if found.fault is not None:
        return Finding(
            name="audit",
            status=Status.FAIL,
            says=found.fault,
            fix="Somebody changed the database: run `innkeeper audit verify`, and compare with a backup or an export.",
        )
    if found.checked is None:
        says = "it ends where it was last written; not checked whole since the start"
    else:
        says = (
            f"it ends where it was last written; all of it was as it was written at {found.checked:%Y-%m-%d %H:%M} UTC"
        )
    return Finding(name="audit", status=Status.OK, says=says)
