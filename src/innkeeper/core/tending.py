"""What is done with kept snapshots by order: dropped when their time is over, and looked through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from innkeeper.core.aftercare import Aftercare
from innkeeper.core.backup_plans import BackupPlans
from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.snapshots import SnapshotStore
from innkeeper.core.snapshot_errors import SnapshotDamaged
from innkeeper.core.snapshots import SUSPECT, Snapshot
from innkeeper.core.works import Tell


class Retaining:
    """Drops by order what needn't be kept any more, and tidies up after it."""

    kind = OperationKind.RETAIN

    def __init__(self, *, store: Store, aftercare: Aftercare, plans: BackupPlans) -> None:
        self._store = store
        self._aftercare = aftercare
        self._plans = plans

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """All of the owner's."""
        await self._aftercare.unlock(operation.tenant_id)
        async with self._store.look() as tx:
            tenant = await tx.tenant(operation.tenant) if operation.tenant else None
        tell.step("dropping and pruning")
        plan = self._plans.default if tenant is None else self._plans.of(tenant)
        return {"dropped": await self._aftercare.retain(operation.tenant_id, plan, prune=True)}


class Verifying:
    """Looks snapshots through by order."""

    kind = OperationKind.VERIFY

    def __init__(self, *, store: Store, snapshots: SnapshotStore, aftercare: Aftercare, clock: Clock) -> None:
        self._store = store
        self._snapshots = snapshots
        self._aftercare = aftercare
        self._clock = clock

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """The repositories with the snapshot that it names, or with all; `whole`: every byte of them."""
        whole = bool(operation.detail.get("whole"))
        for target in self._snapshots.targets:
            if await self._aftercare.lost(operation.tenant_id, operation.tenant, target):
                says = f"Nothing is left of its repository at the target {target}."
                raise SnapshotDamaged(says, hint="The next backup makes it anew, there as elsewhere.")
        found = await self._asked_for(operation)
        for number, target in enumerate(self._snapshots.targets):
            there = [each for each in found if each.damage.get(target, SUSPECT) == SUSPECT and target in each.copies]
            tell.step(f"reading {'all' if whole else 'a part'} at {target}", number, len(self._snapshots.targets))
            if there:
                await self._aftercare.verify(there[0], target, whole=whole)
        now = self._clock.now()
        for each in found:
            await self._aftercare.put(each.id, lambda its: replace(its, verified_at=now))
            await self._aftercare.good(each, (), read=not whole)
        return {"verified": [each.id for each in found], "whole": whole}

    async def _asked_for(self, operation: Operation) -> list[Snapshot]:
        only = operation.detail.get("snapshot")
        async with self._store.look() as tx:
            found = await tx.snapshots.of(operation.tenant_id)
        return [each for each in found if only in (None, each.id) and each.wrong is None]
