"""The core's `DrillRows` on a plain dictionary."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from innkeeper.core.drill import SPEAKING, Drill, Outcome
from innkeeper.store.memory_tables import Tables


class MemoryDrills:
    """The drills that are over, within one transaction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def put(self, drill: Drill) -> None:
        there = self._tables.tenants.get(drill.tenant)
        if there is not None and there.id == drill.tenant_id:
            self._tables.drills[drill.id] = drill

    async def get(self, drill_id: str) -> Drill | None:
        return self._tables.drills.get(drill_id)

    async def newest(
        self, *, tenant: str | None = None, before: str | None = None, limit: int | None = None
    ) -> Sequence[Drill]:
        found = [
            drill
            for _, drill in sorted(self._tables.drills.items(), reverse=True)
            if tenant in (None, drill.tenant) and (before is None or drill.id < before)
        ]
        return found[:limit]

    async def proven(self, tenants: Sequence[str] | None = None) -> Mapping[str, Drill]:
        return self._last({Outcome.PROVEN}, tenants)

    async def latest(self, tenants: Sequence[str] | None = None) -> Mapping[str, Drill]:
        return self._last(SPEAKING, tenants)

    def drop_tenant(self, name: str) -> None:
        """All of one that is gone."""
        for drill in [drill for drill in self._tables.drills.values() if drill.tenant == name]:
            del self._tables.drills[drill.id]

    def _last(self, outcomes: Collection[Outcome], tenants: Sequence[str] | None) -> dict[str, Drill]:
        return {
            drill.tenant: drill
            for _, drill in sorted(self._tables.drills.items())
            if drill.outcome in outcomes and (tenants is None or drill.tenant in tenants)
        }
