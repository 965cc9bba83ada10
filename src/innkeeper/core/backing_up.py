"""Backups as works: a snapshot is taken, looked through, copied to the other targets, and what is too old is dropped.

What has been done stands in the store before the next thing is begun: carried out again after a crash, a backup goes on
from there. Every failure is written down with its reason; the loop that begins backups tries again and raises alarms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from innkeeper.core.aftercare import VERIFIED_AGAIN, Aftercare
from innkeeper.core.backup_errors import BackupsOff
from innkeeper.core.backup_plans import BackupPlan, BackupPlans
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import Problem, StaleLease, Superseded, TenantLeaving, UnitFault, UnknownTenant
from innkeeper.core.events import BackupDone, Bus
from innkeeper.core.ids import new_id
from innkeeper.core.operations import Operation, OperationKind, Trouble
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.control_copies import ControlCopies
from innkeeper.core.ports.snapshots import CONTROL, Repository, SnapshotStore
from innkeeper.core.ports.stills import Stills
from innkeeper.core.snapshot_errors import RepositoryLocked, SnapshotDamaged
from innkeeper.core.snapshots import BackupState, Origin, Snapshot, newest_good, trouble_free
from innkeeper.core.taking import STILL, Take, Taking, Way
from innkeeper.core.works import Tell

SINCE, ORIGIN, SNAPSHOT, AFRESH = "due_since", "origin", "taking", "afresh"
"""What stands in a backup's `detail`: which moment it must show at the least, why, under which id, and whether no
earlier snapshot is to be trusted."""
AHEAD = "taking_ahead"
"""The id of one that was taken ahead."""
CONTROL_FOLDER = "/control"
_NOBODYS_FAULT = (NotYet, StaleLease, Superseded, TenantLeaving, UnknownTenant)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A backup that was made."""

    snapshot: Snapshot
    way: Way


class BackingUp:
    """Carries backups out."""

    kind = OperationKind.BACKUP

    def __init__(
        self,
        *,
        store: Store,
        snapshots: SnapshotStore,
        stills: Stills,
        taking: Taking,
        aftercare: Aftercare,
        control: ControlCopies,
        plans: BackupPlans,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._stills = stills
        self._taking = taking
        self._aftercare = aftercare
        self._control = control
        self._plans = plans
        self._bus = bus
        self._clock = clock

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Take it, or go on with it."""
        began = self._clock.now()
        try:
            done = await self.one(operation, tell, origin=Origin(operation.detail.get(ORIGIN, Origin.ASKED)))
            snapshot = await self.everywhere(done.snapshot, tell)
            await self._went_well(snapshot)
        except _NOBODYS_FAULT:
            raise
        except Problem as problem:
            await self._failed(operation, problem)
            raise
        except OSError as error:  # something is in the way, on a disk of ours or of the target
            fault = UnitFault(f"{error.filename or 'A file'}: {error.strerror or error}.")
            await self._failed(operation, fault)
            raise fault from error
        except Exception as error:  # a fault of ours: it counts, so that it isn't begun again at once and for ever
            await self._failed(operation, Problem(f"It ended unexpectedly: {type(error).__name__}. See the log."))
            raise
        result: dict[str, Any] = {
            "snapshot": snapshot.id,
            "way": done.way,
            "taken_at": snapshot.taken_at.isoformat(),
            "frozen_ms": 0 if done.way is Way.UNCHANGED else snapshot.frozen_ms,
            "consented": snapshot.consented,
            "files": snapshot.files,
            "bytes": snapshot.bytes,
            "bytes_added": 0 if done.way is Way.UNCHANGED else snapshot.bytes_added,
            "databases": snapshot.databases,
            "targets": sorted(snapshot.copies),
        }
        seconds = (self._clock.now() - began).total_seconds()
        frozen_s = snapshot.frozen_ms / 1000 if snapshot.consented is not None else None
        self._bus.publish(
            BackupDone(
                tenant=operation.tenant, snapshot=snapshot.id, way=done.way, seconds=seconds,
                frozen_s=None if done.way is Way.UNCHANGED else frozen_s, bytes_added=int(result["bytes_added"]),
            )
        )  # fmt: skip
        return {**result, **await self._retained(operation)}

    async def one(
        self,
        operation: Operation,
        tell: Tell,
        *,
        origin: Origin,
        kept_for: str | None = None,
        ahead: bool = False,
    ) -> Done:
        """A snapshot at the first target, verified, on behalf of the operation; also for works of other kinds, which
        hold the same lease. `kept_for` is an operation that needs it: retention leaves it alone until that has ended.

        `ahead`: the operation takes another one afterwards, so one that isn't sound is dropped, and nobody is alarmed.

        Found half done, it is gone on with.
        """
        if not self._snapshots.targets:
            raise BackupsOff("There is no place for backups.")
        try:
            return await self._one(operation, tell, origin, kept_for, ahead)
        except RepositoryLocked:
            # Nobody else works on it, for we have the lease of its name: whoever has locked it is dead.
            first = self._snapshots.targets[0]  # the others are unlocked when it is their turn
            await self._snapshots.unlock(Repository(target=first, owner=operation.tenant_id))
            return await self._one(operation, tell, origin, kept_for, ahead)

    async def everywhere(self, snapshot: Snapshot, tell: Tell) -> Snapshot:
        """The snapshot, copied to every other target."""
        for target in self._snapshots.targets:
            if target not in snapshot.copies:
                try:
                    snapshot = await self._aftercare.copy(snapshot, target, tell)
                except RepositoryLocked:  # by somebody dead, as in `one`
                    await self._snapshots.unlock(Repository(target=target, owner=snapshot.owner))
                    snapshot = await self._aftercare.copy(snapshot, target, tell)
            await self._aftercare.good(snapshot, [target], read=False)
        return snapshot

    async def _one(self, operation: Operation, tell: Tell, origin: Origin, kept_for: str | None, ahead: bool) -> Done:
        kept_as = AHEAD if ahead else SNAPSHOT
        snapshot_id = tell.operation.detail.get(kept_as)
        try:
            if snapshot_id is None:
                snapshot_id = new_id("snap")
                await tell.keep(**{kept_as: snapshot_id})
            else:
                await self._aftercare.drop_strays(operation.tenant_id, operation.id)
            if (there := await self._there_already(operation, snapshot_id)) is not None:
                return Done(snapshot=await self._verified(there, tell), way=Way.UNCHANGED)
            await self._snapshots.ready(Repository(target=self._snapshots.targets[0], owner=operation.tenant_id))
            if operation.tenant_id == CONTROL:
                return await self._of_control(operation, snapshot_id, origin, tell)
            return await self._of_tenant(operation, snapshot_id, origin, kept_for, ahead, tell)
        finally:
            await self._stills.clear(operation.id)

    async def _there_already(self, operation: Operation, snapshot_id: str) -> Snapshot | None:
        """What an earlier attempt has taken, or one that is as new as it has to be, and lacks copies at most."""
        since = operation.detail.get(SINCE)
        first = self._snapshots.targets[0]
        async with self._store.look() as tx:
            its, found = await tx.snapshots.get(snapshot_id), await tx.snapshots.of(operation.tenant_id)
        if its is not None and its.damaged is None and first in its.copies:
            return its
        last = newest_good(found, target=first)
        if last is not None and since is not None and last.confirmed_at >= datetime.fromisoformat(since):
            return last if last.confirmed_at <= self._clock.now() else None
        return None

    # --- a tenant's ---------------------------------------------------------------------------------------------------

    async def _of_tenant(
        self,
        operation: Operation,
        snapshot_id: str,
        origin: Origin,
        kept_for: str | None,
        ahead: bool,
        tell: Tell,
    ) -> Done:
        afresh = bool(operation.detail.get(AFRESH))
        take = await self._taking.of(operation, snapshot_id, origin=origin, tell=tell, afresh=afresh)
        if take.way is Way.UNCHANGED:
            return Done(snapshot=await self._confirmed(take.snapshot, kept_for, tell), way=take.way)
        sound, fault = await self._aftercare.unsound(take, operation.id)
        if fault is not None:
            await self._snapshots.forget(self._repository(take.snapshot), list(take.snapshot.copies.values()))
            if ahead:
                raise SnapshotDamaged(fault)
            take = await self._taking.of(operation, snapshot_id, origin=origin, tell=tell, afresh=True)
            sound, fault = await self._aftercare.unsound(take, operation.id)
        snapshot = replace(take.snapshot, databases=sound, damaged=fault, kept_for=kept_for)
        await self._aftercare.add(snapshot)
        if fault is not None:
            self._aftercare.alert(operation.tenant, "backup.damaged", f"{snapshot.id}: {fault}")
            raise SnapshotDamaged(fault, hint="It is kept, but isn't relied on. See whether the agent's data is whole.")
        snapshot = await self._verified(snapshot, tell)
        await self._keep_mark(take)
        return Done(snapshot=snapshot, way=take.way)

    async def _keep_mark(self, take: Take) -> None:
        if take.mark is not None:
            await self._stills.keep(take.snapshot.owner, next(iter(take.snapshot.copies.values())), take.mark)

    async def _confirmed(self, last: Snapshot, kept_for: str | None, tell: Tell) -> Snapshot:
        """The last one, which is still as things are."""
        snapshot = await self._aftercare.put(
            last.id, lambda now: replace(now, confirmed_at=last.confirmed_at, kept_for=kept_for or now.kept_for)
        )
        return await self._verified(snapshot, tell)

    async def _verified(self, snapshot: Snapshot, tell: Tell) -> Snapshot:
        """Looked through at the first target, unless it was lately."""
        now = self._clock.now()
        if snapshot.verified_at is not None and now - snapshot.verified_at < VERIFIED_AGAIN:
            return snapshot
        first = self._snapshots.targets[0]
        tell.step("looking it through", 2, 4)
        try:
            await self._aftercare.verify(snapshot, first)
        except SnapshotDamaged as problem:
            says = f"At the target {first}: {problem.message}"
            await self._aftercare.put(snapshot.id, lambda now: replace(now, damaged=now.damaged or says))
            raise
        snapshot = await self._aftercare.put(snapshot.id, lambda its: replace(its, verified_at=now))
        await self._aftercare.good(snapshot, [first], read=True)
        return snapshot

    # --- the control plane's ------------------------------------------------------------------------------------------

    async def _of_control(self, operation: Operation, snapshot_id: str, origin: Origin, tell: Tell) -> Done:
        first = Repository(target=self._snapshots.targets[0], owner=CONTROL)
        room = await self._stills.room(operation.id, "control")
        tell.step("copying the database", 0, 4)
        now = self._clock.now()
        await self._control.copy(room)
        tell.step("saving it", 1, 4)
        tags = (STILL, f"op={operation.id}", f"id={snapshot_id}")
        saved = await self._snapshots.save(first, {CONTROL_FOLDER: room}, name=CONTROL, tags=tags, at=now)
        snapshot = Snapshot(
            id=snapshot_id, owner=CONTROL, tenant="", taken_at=now, confirmed_at=now, origin=origin,
            operation=operation.id, files=saved.files_new + saved.files_changed + saved.files_unmodified,
            bytes=saved.bytes_read, bytes_added=saved.bytes_added, copies={first.target: saved.id},
        )  # fmt: skip
        await self._aftercare.add(snapshot)
        return Done(snapshot=await self._verified(snapshot, tell), way=Way.PLAIN)

    # --- how it stands ------------------------------------------------------------------------------------------------

    async def _went_well(self, snapshot: Snapshot) -> None:
        async with self._store.begin() as tx:
            state = await tx.snapshots.state(snapshot.owner)
            if state is not None:
                await tx.snapshots.put_state(trouble_free(state, self._clock.now(), {}))

    async def _failed(self, operation: Operation, problem: Problem) -> None:
        async with self._store.begin() as tx:
            state = await tx.snapshots.state(operation.tenant_id)
            state = state or BackupState(owner=operation.tenant_id, tenant=operation.tenant)
            await tx.snapshots.put_state(
                replace(state, tried_at=self._clock.now(), failures=state.failures + 1, error=Trouble.of(problem))
            )

    async def _retained(self, operation: Operation) -> Mapping[str, Any]:
        """What was dropped; that it couldn't be is no reason to call the backup failed, but somebody should know."""
        plan = await self._plan(operation)
        try:
            return {"dropped": await self._dropped(operation.tenant_id, plan)}
        except StaleLease:
            raise
        except Problem as problem:
            self._aftercare.alert(operation.tenant, "backup.retention", problem.message)
            return {"dropped": 0, "not_dropped": problem.message}

    async def _dropped(self, owner: str, plan: BackupPlan) -> int:
        try:
            return await self._aftercare.retain(owner, plan)
        except RepositoryLocked:  # by somebody dead, as in `one`
            await self._aftercare.unlock(owner)
            return await self._aftercare.retain(owner, plan)

    async def _plan(self, operation: Operation) -> BackupPlan:
        async with self._store.look() as tx:
            tenant = await tx.tenant(operation.tenant) if operation.tenant else None
        return self._plans.default if tenant is None else self._plans.of(tenant)

    def _repository(self, snapshot: Snapshot) -> Repository:
        return Repository(target=self._snapshots.targets[0], owner=snapshot.owner)


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
        found = await self._asked_for(operation)
        for number, target in enumerate(self._snapshots.targets):
            there = [each for each in found if target in each.copies]
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
        return [each for each in found if only in (None, each.id) and each.damaged is None]
