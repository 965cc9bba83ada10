"""A folder that was there and isn't any more: its tenant doesn't begin anew on an empty one as if nothing had been."""

from __future__ import annotations

from innkeeper.core.errors import Conflict
from innkeeper.core.ports import Store, Units
from innkeeper.core.tenant import Tenant


class UnitMissing(Conflict):
    """The tenant has snapshots, but no folder: a disk isn't mounted, or only the database was restored."""

    code = "unit_missing"
    default_hint = "Mount the disk that it lies on, or restore it: `innkeeper restore NAME`."


class MissingUnits:
    """Knows who must have a folder."""

    def __init__(self, *, store: Store, units: Units) -> None:
        self._store = store
        self._units = units

    async def check(self, tenant: Tenant) -> None:
        """Raise UnitMissing for one that has been snapshotted and has no folder."""
        if await self._units.exists(tenant.name):
            return
        async with self._store.look() as tx:
            kept = [each for each in await tx.snapshots.of(tenant.id) if each.wrong is None]
        if kept:
            raise UnitMissing(
                f"The folder of {tenant.name} isn't there, though it has {len(kept)} snapshots.",
                hint=f"Mount the disk that it lies on, or restore it: `innkeeper restore {tenant.name}`.",
            )
