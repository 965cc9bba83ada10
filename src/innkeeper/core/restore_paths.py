"""Single paths out of a snapshot, into a new folder of the tenant's own data; it lives on meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from innkeeper.core.errors import Problem, StaleLease
from innkeeper.core.operations import Operation
from innkeeper.core.ports import Store
from innkeeper.core.ports.stages import Stages
from innkeeper.core.restore_asked import told as told_snapshot
from innkeeper.core.restore_way import way_of
from innkeeper.core.staging import Staging
from innkeeper.core.works import Tell

DELIVERING = "delivering"


class RestorePaths:
    """Puts paths where their owner finds them; nothing that is there is replaced."""

    def __init__(self, *, store: Store, staging: Staging, stages: Stages) -> None:
        self._store = store
        self._staging = staging
        self._stages = stages

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Take them down beside the tenant's folder, then put them into it in one rename."""
        way = way_of(operation, tell)
        try:
            async with self._store.look() as tx:
                way.still(await tx.tenant(way.name))
            if way.phase != DELIVERING:
                await self._staging.take_paths(way.asked, way.stage, tell)
                await tell.keep(phase=DELIVERING)
            tell.step("putting them into place", 1, 2)
            await self._stages.deliver(way.stage, way.name, way.asked.into)
        except StaleLease:
            raise
        except Problem:
            await self._stages.drop(way.stage)
            raise
        await self._stages.drop(way.stage)
        return {"snapshot": told_snapshot(way.asked.snapshot), "into": way.asked.into}
