"""The use cases of backups: asked for, listed with their age, looked through, tidied up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from innkeeper.core.access import Actor
from innkeeper.core.backing_up import ORIGIN, SINCE
from innkeeper.core.backup_errors import BackupsOff, UnknownSnapshot
from innkeeper.core.backup_plans import BackupPlan, BackupPlans, Standing, standing
from innkeeper.core.errors import UnknownTenant
from innkeeper.core.once import Once
from innkeeper.core.operations import Operation, OperationKind, Trouble
from innkeeper.core.ports import Clock, Store, Transaction
from innkeeper.core.ports.snapshots import CONTROL, SnapshotStore
from innkeeper.core.snapshot_errors import TargetUnknown
from innkeeper.core.snapshots import BackupState, Origin, Snapshot
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import Works

Detail = Mapping[str, Any]
_ONE_AT_A_TIME = (OperationKind.BACKUP, OperationKind.RETAIN, OperationKind.REPAIR)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """How the backups of one owner stand."""

    tenant: str
    """Empty for the control plane's."""
    owner: str
    plan: BackupPlan
    standing: Standing
    good: Mapping[str, datetime]
    """By target, the newest moment that can be had back from there."""
    failures: int
    error: Trouble | None


class Backups:
    """Begins works on snapshots, and tells what there is."""

    def __init__(
        self, *, store: Store, works: Works, snapshots: SnapshotStore, plans: BackupPlans, clock: Clock
    ) -> None:
        self._store = store
        self._works = works
        self._snapshots = snapshots
        self._clock = clock
        self.plans = plans
        self._here_since = clock.now()
        self.known: dict[str, BackupState] = {}
        """What was last read of all owners' states: for lists, which don't look."""

    @property
    def targets(self) -> Sequence[str]:
        """Where snapshots go to, the first first."""
        return self._snapshots.targets

    # --- works --------------------------------------------------------------------------------------------------------

    async def create(self, name: str, *, actor: Actor, once: Once | None = None) -> Operation:
        """A snapshot of a tenant; the one that is under way where there is one. BackupsOff, UnknownTenant,
        TenantLeaving."""
        return await self.begin(name, actor=actor, once=once, detail={ORIGIN: Origin.ASKED})

    async def begin(
        self, name: str, *, actor: Actor, detail: Detail, once: Once | None = None, kind: OperationKind | None = None
    ) -> Operation:
        """The same with more said."""
        kind = kind or OperationKind.BACKUP
        self._check_targets()
        async with self._store.begin() as tx:
            if (again := await self._works.again(tx, actor, once)) is not None:
                return again
            tenant = await self._works.there(tx, name)
            if kind in _ONE_AT_A_TIME and (open_ := await self._open(tx, kind, tenant.name, tenant.id, detail)):
                return open_
            operation = await self._works.add(tx, self._works.new(kind, tenant, detail), actor=actor, once=once)
        self._works.tell(operation)
        return operation

    async def create_of_control(
        self, *, actor: Actor, since: datetime | None = None, kind: OperationKind = OperationKind.BACKUP,
        detail: Detail | None = None, once: Once | None = None,
    ) -> Operation:  # fmt: skip
        """A snapshot of the control plane's own database, or another work on those."""
        self._check_targets()
        said = {ORIGIN: Origin.ASKED} if since is None else {ORIGIN: Origin.SCHEDULE, SINCE: since.isoformat()}
        async with self._store.begin() as tx:
            if (again := await self._works.again(tx, actor, once)) is not None:
                return again
            if kind in _ONE_AT_A_TIME and (open_ := await self._open(tx, kind, "", CONTROL, detail or {})):
                return open_
            new = self._works.of_nobody(kind, CONTROL, said if kind is OperationKind.BACKUP else detail)
            operation = await self._works.add(tx, new, actor=actor, once=once)
        self._works.tell(operation)
        return operation

    async def verify(
        self, name: str, snapshot_id: str | None, *, whole: bool, actor: Actor, once: Once | None = None
    ) -> Operation:
        """Look a snapshot through, or all of a tenant's; `whole`: read every byte. UnknownSnapshot."""
        if snapshot_id is not None:
            await self.one(name, snapshot_id)
        detail = {"snapshot": snapshot_id, "whole": whole}
        return await self.begin(name, actor=actor, detail=detail, once=once, kind=OperationKind.VERIFY)

    async def prune(self, name: str, *, actor: Actor, once: Once | None = None) -> Operation:
        """Drop what a tenant's plan doesn't keep any more, and tidy up."""
        return await self.begin(name, actor=actor, detail={}, once=once, kind=OperationKind.RETAIN)

    async def repair(self, name: str, target: str | None, *, actor: Actor, once: Once | None = None) -> Operation:
        """Mend a tenant's repositories, or the one at that target; TargetUnknown. The one that is under way where there
        is one."""
        self._check_target(target)
        detail = {"target": target}
        return await self.begin(name, actor=actor, detail=detail, once=once, kind=OperationKind.REPAIR)

    async def repair_of_control(self, target: str | None, *, actor: Actor, once: Once | None = None) -> Operation:
        """The same of the control plane's database."""
        self._check_target(target)
        detail = {"target": target}
        return await self.create_of_control(actor=actor, kind=OperationKind.REPAIR, detail=detail, once=once)

    async def _open(
        self, tx: Transaction, kind: OperationKind, name: str, owner: str, detail: Detail
    ) -> Operation | None:
        found = await tx.operations(tenant=name, open_only=True)
        alike = [each for each in found if (each.kind, each.tenant_id) == (kind, owner)]
        return next((each for each in alike if each.detail.get("target") == detail.get("target")), None)

    def _check_target(self, target: str | None) -> None:
        if target is not None and target not in self._snapshots.targets:
            raise TargetUnknown(f"There is no target {target[:40]!r} for backups.")

    def _check_targets(self) -> None:
        if not self._snapshots.targets:
            raise BackupsOff("There is no place for backups.")

    # --- what there is ------------------------------------------------------------------------------------------------

    async def all(self, name: str) -> Sequence[Snapshot]:
        """A tenant's snapshots, the newest first; those of one that is gone, where it was deleted without its data."""
        async with self._store.look() as tx:
            tenant = await tx.tenant(name)
            found = await (tx.snapshots.of_tenant(name) if tenant is None else tx.snapshots.of(tenant.id))
        if tenant is None and not found:
            raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
        return found

    async def of_control(self) -> Sequence[Snapshot]:
        """Those of the control plane's database."""
        async with self._store.look() as tx:
            return await tx.snapshots.of(CONTROL)

    async def one(self, name: str, snapshot_id: str) -> Snapshot:
        """A snapshot of that tenant; UnknownSnapshot."""
        async with self._store.look() as tx:
            tenant, found = await tx.tenant(name), await tx.snapshots.get(snapshot_id)
        if found is None or (found.owner != tenant.id if tenant is not None else found.tenant != name):
            raise UnknownSnapshot(f"There is no snapshot {snapshot_id[:60]!r} of {name[:60]}.")
        return found

    async def overview(self, *, after: str = "", limit: int | None = None) -> Sequence[Overview]:
        """How the backups of all tenants stand, by name."""
        async with self._store.look() as tx:
            tenants, states = await tx.tenants(after=after, limit=limit), await tx.snapshots.states()
        self.known = dict(states)
        return [self.of(tenant, states.get(tenant.id)) for tenant in tenants]

    async def how(self, tenant: Tenant) -> Overview:
        """How those of one stand."""
        async with self._store.look() as tx:
            state = await tx.snapshots.state(tenant.id)
        if state is not None:
            self.known[tenant.id] = state
        return self.of(tenant, state)

    async def how_control(self) -> Overview:
        """How those of the database stand."""
        async with self._store.look() as tx:
            state = await tx.snapshots.state(CONTROL)
        return self._of("", CONTROL, self.plans.default, state, self._here_since)

    def of(self, tenant: Tenant, state: BackupState | None) -> Overview:
        """The same, from what was read already."""
        return self._of(tenant.name, tenant.id, self.plans.of(tenant), state, tenant.created_at)

    def of_control_now(self, state: BackupState | None) -> Overview:
        """The database's, likewise."""
        return self._of("", CONTROL, self.plans.default, state, self._here_since)

    def _of(self, name: str, owner: str, plan: BackupPlan, state: BackupState | None, since: datetime) -> Overview:
        now = self._clock.now()
        return Overview(
            tenant=name,
            owner=owner,
            plan=plan,
            standing=standing(plan, state, owner=owner, since=since, targets=self.targets, now=now),
            good=state.good if state is not None else {},
            failures=state.failures if state is not None else 0,
            error=state.error if state is not None else None,
        )
