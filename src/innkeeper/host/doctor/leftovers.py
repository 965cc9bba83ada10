"""What tenants have left that were deleted without a purge: kept on purpose, or forgotten?"""

from __future__ import annotations

import asyncio

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

_NAMED = 5


async def check(host: Host) -> Finding:
    """They are told, and nothing is wrong with them."""
    if host.left_over is None:
        says = "the control plane, which knows its tenants, isn't running"
        return Finding(name="leftovers", status=Status.SKIP, says=says)
    found = await asyncio.to_thread(host.left_over)
    if not found.folders and not found.keys:
        return Finding(name="leftovers", status=Status.OK, says="nothing is left of tenants that were deleted")
    named = f"{', '.join(found.folders[:_NAMED])}{' …' if len(found.folders) > _NAMED else ''}"
    folders = f"folders of {named}" if found.folders else "no folder"
    return Finding(
        name="leftovers",
        status=Status.OK,
        says=f"{folders} and {found.keys} data keys are kept of tenants that were deleted without --purge",
        fix="To erase them: `innkeeper tenant delete NAME --purge`.",
    )
