"""What a tenant leaves that was deleted without a purge: its folder, its key, its snapshots. They can be purged later,
by its name; for that it comes back as a row that is to be gone, and nothing of it ever runs.
"""

from __future__ import annotations

import json
from datetime import datetime

from innkeeper.core.ids import new_id
from innkeeper.core.ports import Transaction
from innkeeper.core.tenant import Access, CustomAgent, Limits, Spec, Tenant, Wanted
from innkeeper.core.trail import Line, Sought

_LOOKED_AT = 500
FORMER = Spec(
    agent="custom",
    release="-",
    image="-",
    limits=Limits(memory_mb=1, cpus=0.1),
    access=Access.GUARDED,
    custom=CustomAgent(image="-", port=1),
)
"""What stands for the spec of one that is gone: nobody knows it any more."""


async def former(tx: Transaction, name: str, *, has_folder: bool, now: datetime) -> Tenant | None:
    """The last tenant of that name that was deleted without a purge, added to be purged now; None: nothing is left.

    Of whom the trail doesn't tell any more, a folder is all that can be found.
    """
    tenant_id = next(iter(await unpurged(tx, name)), None)
    if tenant_id is None and not has_folder:
        return None
    tenant = Tenant(
        id=tenant_id or new_id("tn"),
        name=name,
        spec=FORMER,
        slot=await tx.free_slot(),
        created_at=now,
        wanted=Wanted.GONE,
    )
    await tx.add_tenant(tenant)
    return tenant


async def unpurged(tx: Transaction, name: str) -> list[str]:
    """The ids of those of the name that were deleted without a purge, as far as the trail tells; the last first."""
    sought = Sought(tenant=name, action="tenant.erased")
    lines = await tx.chain.lines(sought, newest_first=True, limit=_LOOKED_AT)
    ids = dict.fromkeys(id_ for line in lines if (id_ := line["tenant_id"]) and not _was_purged(line))
    return [each for each in ids if await tx.erasures.of(each) is None]


def _was_purged(line: Line) -> bool:
    try:
        return bool(json.loads(line["detail"] or "{}").get("purge"))
    except (ValueError, AttributeError):
        return False
