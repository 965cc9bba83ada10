"""Backups as works: a snapshot is taken, looked through, copied to the other targets, and what is too old is dropped.

What has been done stands in the store before the next thing is begun: carried out again after a crash, a backup goes on
from there. Every failure is written down with its reason; the loop that begins backups tries again and raises alarms.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from innkeeper.core.aftercare import VERIFIED_AGAIN, Aftercare
from innkeeper.core.backup_errors import BackupsOff, NothingToSave
from innkeeper.core.backup_plans import BackupPlan, BackupPlans
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import Problem, StaleLease, Superseded, TenantLeaving, UnitFault, UnknownTenant
from innkeeper.core.events import BackupDone, Bus
from innkeeper.core.ids import new_id
from innkeeper.core.mending import MENDED, Mending
from innkeeper.core.operations import Operation, OperationKind, Trouble
from innkeeper.core.ports import Clock, Store
from innkeeper.core.ports.control_copies import ControlCopies
from innkeeper.core.ports.snapshots import CONTROL, Repository, SnapshotStore
from innkeeper.core.ports.stills import Stills
from innkeeper.core.snapshot_errors import RepositoryLocked, SnapshotDamaged, TargetRefused
from innkeeper.core.snapshots import BackupState, Origin, Snapshot, newest_good, trouble_free
from innkeeper.core.taking import STILL, Take, Taking, Way
from innkeeper.core.works import Tell

SINCE, ORIGIN, SNAPSHOT, AFRESH = "due_since", "origin", "taking", "afresh"
"""What stands in a backup's `detail`: which moment it must show at the least, why, under which id, and whether no
earlier snapshot is to be trusted."""
AHEAD = "taking_ahead"
"""The id of one that was taken ahead."""
CONTROL_FOLDER = "/control"
_NOBODYS_FAULT = (NothingToSave, NotYet, StaleLease, Superseded, TenantLeaving, UnknownTenant)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A backup that was made."""

    snapshot: Snapshot
    way: Way


@dataclass(frozen=True, kw_only=True)
class _Errand:
    """What a snapshot is taken for; see `BackingUp.one`."""

    origin: Origin
    kept_for: str | None
    ahead: bool


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What came of looking through the databases of a snapshot."""

    sound: int
    broken: Mapping[str, str]
    """By path, what is wrong with those that the tenant has broken."""
    fault: str | None
    """What is wrong with the others."""


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
        mending: Mending,
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
        self._mending = mending
        self._control = control
        self._plans = plans
        self._bus = bus
        self._clock = clock

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Take it, or go on with it."""
        began = self._clock.now()
        try:
            done = await self.one(operation, tell, origin=Origin(operation.detail.get(ORIGIN, Origin.ASKED)))
            snapshot = await self.everywhere(done.snapshot, operation, tell, since=began)
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
            "broken_databases": sorted(snapshot.broken),
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
        return {**result, **await self._settled(operation, tell), **await self._retained(operation)}

    async def one(
        self, operation: Operation, tell: Tell, *, origin: Origin, kept_for: str | None = None, ahead: bool = False
    ) -> Done:
        """A snapshot at the first target, verified, on behalf of the operation; also for works of other kinds, which
        hold the same lease. `kept_for` is an operation that needs it: retention leaves it alone until that has ended.

        `ahead`: the operation takes another one afterwards, so one that isn't sound is dropped, and nobody is alarmed.

        Found half done, it is gone on with.
        """
        if not self._snapshots.targets:
            raise BackupsOff("There is no place for backups.")
        errand = _Errand(origin=origin, kept_for=kept_for, ahead=ahead)
        if ahead:  # there is another one to come, which mends what this one finds
            return await self._unlocked(operation, tell, errand)
        first = self._snapshots.targets[0]
        if await self._mending.is_due(operation.tenant_id, first, tell):
            await self._mending.mend(operation, first, tell)
        try:
            done = await self._unlocked(operation, tell, errand)
        except (SnapshotDamaged, TargetRefused):  # a key that is damaged opens nothing, just as another one
            if not await self._mending.may(operation.tenant_id, first):
                raise
            await self._mending.mend(operation, first, tell)
            done = await self._unlocked(operation, tell, errand)
        if done.snapshot.damaged is not None:  # not by the repository, so there is nothing to be mended
            hint = "It is kept, but isn't relied on. See whether the agent's data is whole."
            raise SnapshotDamaged(done.snapshot.damaged, hint=hint)
        return done

    async def _unlocked(self, operation: Operation, tell: Tell, errand: _Errand) -> Done:
        try:
            return await self._one(operation, tell, errand)
        except RepositoryLocked:
            # Nobody else works on it, for we have the lease of its name: whoever has locked it is dead.
            first = self._snapshots.targets[0]  # the others are unlocked when it is their turn
            await self._snapshots.unlock(Repository(target=first, owner=operation.tenant_id))
            return await self._one(operation, tell, errand)

    async def everywhere(self, snapshot: Snapshot, operation: Operation, tell: Tell, *, since: datetime) -> Snapshot:
        """The snapshot, copied to every other target; what is damaged there is mended first. One that is there already
        is looked through, too, where it was at the first one after `since`."""
        first, *others = self._snapshots.targets
        again = snapshot.verified_at is not None and snapshot.verified_at >= since
        for target in others:
            if await self._mending.is_due(snapshot.owner, target, tell):
                await self._mending.mend(operation, target, tell)
            snapshot = await self._aftercare.put(snapshot.id, lambda now: now)
            try:
                if target in snapshot.whole_at:
                    snapshot = await self._still_there(snapshot, target, again=again)
                snapshot = await self._copied(snapshot, target, tell)
            except (SnapshotDamaged, TargetRefused):
                if not await self._mending.may(snapshot.owner, target):
                    raise
                await self._mending.mend(operation, target, tell)
                try:
                    snapshot = await self._copied(snapshot, target, tell)
                except SnapshotDamaged:  # it is mended: so what is copied from isn't as it was written
                    await self._aftercare.suspect(snapshot, first)
                    raise
            await self._aftercare.good(snapshot, [target], read=False)
        await self._aftercare.good(snapshot, [first], read=False)
        return snapshot

    async def _copied(self, snapshot: Snapshot, target: str, tell: Tell) -> Snapshot:
        try:
            return await self._aftercare.copy(snapshot, target, tell)
        except RepositoryLocked:  # by somebody dead, as in `one`
            await self._snapshots.unlock(Repository(target=target, owner=snapshot.owner))
            return await self._aftercare.copy(snapshot, target, tell)

    async def _still_there(self, snapshot: Snapshot, target: str, *, again: bool) -> Snapshot:
        """Without that copy, if its repository is gone, or it is when looked for; `again`: looked for, and through."""
        gone = await self._aftercare.lost(snapshot.owner, snapshot.tenant, target)
        if not gone and again:
            gone = await self._aftercare.dropped(snapshot, target)
            if not gone:
                await self._aftercare.verify(snapshot, target)
        if not gone:
            return snapshot
        return await self._aftercare.put(snapshot.id, lambda now: now.without(target))

    async def _one(self, operation: Operation, tell: Tell, errand: _Errand) -> Done:
        kept_as = AHEAD if errand.ahead else SNAPSHOT
        snapshot_id = tell.operation.detail.get(kept_as)
        try:
            if snapshot_id is None:
                snapshot_id = new_id("snap")
                await tell.keep(**{kept_as: snapshot_id})
            else:
                await self._aftercare.drop_strays(operation.tenant_id, operation.id)
            await self._aftercare.lost(operation.tenant_id, operation.tenant, self._snapshots.targets[0])
            if (there := await self._there_already(operation, snapshot_id)) is not None:
                return Done(snapshot=await self._verified(there, tell), way=Way.UNCHANGED)
            await self._snapshots.ready(Repository(target=self._snapshots.targets[0], owner=operation.tenant_id))
            if operation.tenant_id == CONTROL:
                return await self._of_control(operation, snapshot_id, errand.origin, tell)
            return await self._of_tenant(operation, snapshot_id, errand, tell)
        finally:
            await self._stills.clear(operation.id)

    async def _there_already(self, operation: Operation, snapshot_id: str) -> Snapshot | None:
        """What an earlier attempt has taken, or one that is as new as it has to be, and lacks copies at most."""
        since = operation.detail.get(SINCE)
        first = self._snapshots.targets[0]
        async with self._store.look() as tx:
            its, found = await tx.snapshots.get(snapshot_id), await tx.snapshots.of(operation.tenant_id)
        if its is not None and its.damaged is None and first in its.whole_at:
            return its
        last = newest_good(found, target=first)
        if last is not None and since is not None and last.confirmed_at >= datetime.fromisoformat(since):
            return last if last.confirmed_at <= self._clock.now() else None
        return None

    # --- a tenant's ---------------------------------------------------------------------------------------------------

    async def _of_tenant(self, operation: Operation, snapshot_id: str, errand: _Errand, tell: Tell) -> Done:
        if await self._has_nothing_yet(operation):
            raise NothingToSave(f"{operation.tenant} was never started: there is nothing to be saved yet.")
        afresh = bool(operation.detail.get(AFRESH))
        take = await self._taking.of(operation, snapshot_id, origin=errand.origin, tell=tell, afresh=afresh)
        if take.way is Way.UNCHANGED:
            return Done(snapshot=await self._confirmed(take.snapshot, errand.kept_for, tell), way=take.way)
        looked = await self._looked_through(take, operation)
        if looked.fault is not None:
            await self._snapshots.forget(self._repository(take.snapshot), list(take.snapshot.copies.values()))
            if errand.ahead:
                raise SnapshotDamaged(looked.fault)
            take = await self._taking.of(operation, snapshot_id, origin=errand.origin, tell=tell, afresh=True)
            looked = await self._looked_through(take, operation)
        snapshot = replace(take.snapshot, databases=looked.sound, damaged=looked.fault, kept_for=errand.kept_for)
        snapshot = replace(snapshot, broken={**take.carried, **looked.broken})
        await self._aftercare.tell_broken(snapshot)
        await self._aftercare.add(snapshot)
        if looked.fault is not None:
            self._aftercare.alert(operation.tenant, "backup.damaged", f"{snapshot.id}: {looked.fault}")
            return Done(snapshot=snapshot, way=take.way)
        snapshot = await self._verified(snapshot, tell)
        await self._keep_mark(take)
        return Done(snapshot=snapshot, way=take.way)

    async def _looked_through(self, take: Take, operation: Operation) -> Looked:
        """Its databases; one that lies in the tenant's folder just as broken isn't the snapshot's fault."""
        sound, found = await self._aftercare.unsound(take, operation.id)
        living = await self._stills.unsound_living(operation.tenant, operation.id, sorted(found)) if found else {}
        ours = "; ".join(f"{path}: {says}" for path, says in sorted(found.items()) if path not in living)
        return Looked(
            sound=sound,
            broken={path: says for path, says in found.items() if path in living},
            fault=f"It holds SQLite files that aren't whole: {ours}"[:1000] if ours else None,
        )

    async def _has_nothing_yet(self, operation: Operation) -> bool:
        """Whether it has no folder and never had one: one that is lost is another matter."""
        if await asyncio.to_thread(os.path.lexists, self._stills.folder(operation.tenant)):
            return False
        async with self._store.look() as tx:
            return not await tx.snapshots.of(operation.tenant_id)

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
        await self._aftercare.verify(snapshot, first)
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

    async def _settled(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """What was mended meanwhile, brought to its end; the backup is good whatever comes of that."""
        mended = tell.operation.detail.get(MENDED)
        try:
            await self._mending.settle(operation, tell)
        except StaleLease:
            raise
        except Problem as problem:
            self._aftercare.alert(operation.tenant, "backup.repair", problem.message)
            return {"repaired": mended or {}, "not_repaired": problem.message}
        return {"repaired": mended} if mended else {}

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
