"""The work of restoring, and what is left of it by those who died at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.ports import Store
from innkeeper.core.ports.stages import Stage, Stages
from innkeeper.core.restore_asked import Mode
from innkeeper.core.restore_in_place import FORMER
from innkeeper.core.restore_way import Phase
from innkeeper.core.works import Tell


class Course(Protocol):
    """How one sort of restore goes."""

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """As a work does."""
        ...


class Restoring:
    """Carries restores out, of every sort."""

    kind = OperationKind.RESTORE

    def __init__(self, courses: Mapping[Mode, Course]) -> None:
        self._courses = courses

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Do it, or go on with it."""
        return await self._courses[Mode(operation.detail["mode"])].carry_out(operation, tell)


class LeftStages:
    """Erases what ended restores have left: of those that were cut off by a delete, say."""

    def __init__(self, *, store: Store, stages: Stages) -> None:
        self._store = store
        self._stages = stages

    async def sweep(self) -> int:
        """Erase them; how many. What holds the only copy of a tenant's former state stays."""
        gone = 0
        for name in await self._stages.names():
            tenant_id, _, operation_id = name.partition("-")
            async with self._store.look() as tx:
                operation = await tx.operation(operation_id)
                tenant = await tx.tenant(operation.tenant) if operation else None
            if operation is not None:
                is_stuck = tenant is not None and tenant.closed == operation_id
                if not operation.status.ended or is_stuck or _has_the_only_copy(operation):
                    continue
            elif await self._stages.noted(Stage(tenant_id=tenant_id, operation_id=operation_id), FORMER) is not None:
                continue  # it was kept until its operation was forgotten, so nobody can tell any more that it may go
            await self._stages.drop_by_name(name)
            gone += 1
        return gone


def _has_the_only_copy(operation: Operation) -> bool:
    """Whether it was cut off after the swap, and no snapshot was taken before."""
    detail = operation.detail
    if detail.get("mode") != Mode.IN_PLACE or detail.get("safety_snapshot") is not None or "result" in detail:
        return False
    phase = detail.get("phase")
    return phase is not None and Phase(phase).is_after_swap and not detail.get("returned")
