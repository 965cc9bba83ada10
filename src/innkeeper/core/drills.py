"""The use cases of drills: a snapshot is brought up out of everybody's reach, asked, and thrown away.

Nothing that a drill does outlives it but what is written down of it. So one that died is simply done again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

from innkeeper.core.access import Actor
from innkeeper.core.boarding import NotYet
from innkeeper.core.drill import Drill, Outcome
from innkeeper.core.drill_catalogue import Drillable, short_id
from innkeeper.core.drill_errors import DrillFailed, NothingToDrill
from innkeeper.core.drill_run import DrillRun, Gear
from innkeeper.core.errors import (
    DiskFull,
    IsolationBroken,
    Problem,
    RuntimeUnavailable,
    StaleLease,
    StoreUnavailable,
    documented,
)
from innkeeper.core.events import AlertRaised, Bus, DrillEnded
from innkeeper.core.once import Once
from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.ports import Clock, Store
from innkeeper.core.redaction import redact
from innkeeper.core.snapshot_errors import BackupToolMissing, RepositoryLocked, SnapshotDamaged, TargetUnreachable
from innkeeper.core.suspicion import suspect
from innkeeper.core.works import Tell, Works

FAILED, UNTRIED = "drill.failed", "drill.untried"
"""The codes of the alerts."""
AWAY = (RuntimeUnavailable, StoreUnavailable, TargetUnreachable, RepositoryLocked)
"""What passes by itself, as a rule."""
IN_THE_WAY = (*AWAY, DiskFull, IsolationBroken, BackupToolMissing)
"""What says nothing of the snapshot."""
PATIENCE = timedelta(hours=1)
AGAIN_S = 60.0
_TOLD = 1000


class Catalogue(Protocol):
    """Knows which snapshots of a tenant are whole, as far as anybody knows."""

    async def newest(self, tenant_id: str) -> Drillable | None:
        """The newest, where it lies nearest; None: there is none."""
        ...

    async def named(self, tenant_id: str, asked: str) -> Drillable | None:
        """The one of which an id begins so; None: there is none, or there are several."""
        ...


class Berth(Protocol):
    """Memory and processor time for an instance that is no tenant's."""

    async def admit(self, drill: str, memory_mb: int) -> None:
        """Promise it its memory until `leave`; NotYet."""
        ...

    async def turn(self, drill: str) -> None:
        """Wait until it may start."""
        ...

    def started(self, drill: str) -> None: ...
    def leave(self, drill: str) -> None: ...


class Drills:
    """Begins drills."""

    def __init__(self, *, works: Works) -> None:
        self._works = works

    async def begin(
        self, tenant: str, *, actor: Actor, snapshot: str | None = None, once: Once | None = None
    ) -> Operation:
        """A drill of the newest snapshot, or of the one whose id begins so; UnknownTenant, TenantLeaving."""
        detail = {"asked": snapshot} if snapshot else {}
        return await self._works.begin(OperationKind.DRILL, tenant, actor=actor, detail=detail, once=once)


class DrillWork:
    """Carries drills out."""

    kind = OperationKind.DRILL

    def __init__(self, *, gear: Gear, catalogue: Catalogue, berth: Berth, store: Store, bus: Bus, clock: Clock) -> None:
        self._gear = gear
        self._catalogue = catalogue
        self._berth = berth
        self._store = store
        self._bus = bus
        self._clock = clock

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """From the beginning, whatever was done before; but what is written down is only told again."""
        async with self._store.look() as tx:
            over = await tx.drills.get(operation.id)
        if over is None:
            over = await self._drilled(operation, tell)
        return self._told(over)

    async def _drilled(self, operation: Operation, tell: Tell) -> Drill:
        began = self._clock.now()
        chosen = await self._chosen(operation)
        await tell.keep(snapshot=chosen.id, target=chosen.repository.target)
        # Of this attempt alone: one whose lease was lost may still be throwing away what is its own.
        attempt = f"{operation.id}_{secrets.token_hex(3)}"
        run = DrillRun(
            gear=self._gear,
            drill=attempt,
            tenant=operation.tenant,
            tenant_id=operation.tenant_id,
            repository=chosen.repository,
            snapshot=chosen.copy,
            tell=tell.step,
        )
        drill = Drill(
            id=operation.id,
            tenant=operation.tenant,
            tenant_id=operation.tenant_id,
            snapshot=chosen.id,
            target=chosen.repository.target,
            taken_at=chosen.taken_at,
            began_at=began,
            ended_at=began,
            outcome=Outcome.PROVEN,
            says=_told_broken(chosen.broken) if chosen.broken else None,
        )
        try:
            for left in await self._left():
                if left.startswith(operation.id):
                    await self._cleared(left)
            await self._run(run)
        except StaleLease:
            raise
        except Problem as problem:
            if isinstance(problem, AWAY) and self._clock.now() - operation.created_at < PATIENCE:
                raise NotYet(f"{run.now}: {problem.message}", again_s=AGAIN_S) from problem
            outcome = Outcome.UNTRIED if isinstance(problem, IN_THE_WAY) else Outcome.FAILED
            says = redact(problem.message)
            drill = replace(drill, outcome=outcome, failed_at=run.now, code=problem.code, says=says)
        finally:
            self._berth.leave(attempt)
            await self._thrown_away(attempt)
        drill = replace(
            drill, ended_at=self._clock.now(), release=run.release, sessions=run.sessions, steps=tuple(run.steps)
        )
        async with self._store.begin() as tx:
            await tx.drills.put(drill)
            known = await tx.snapshots.get(drill.snapshot)
            if known is not None and drill.outcome is Outcome.PROVEN:
                await tx.snapshots.put(replace(known, proven_at=drill.ended_at))
            if known is not None and drill.code == SnapshotDamaged.code:
                await suspect(tx, drill.tenant_id, drill.target)  # so that the next backup mends it
        self._bus.publish(DrillEnded(tenant=drill.tenant, drill=drill))
        return drill

    async def _chosen(self, operation: Operation) -> Drillable:
        """The one that was drilled before it died, or that was asked for, or the newest."""
        wanted = operation.detail.get("snapshot") or operation.detail.get("asked")
        try:
            if wanted is None:
                found = await self._catalogue.newest(operation.tenant_id)
            else:
                found = await self._catalogue.named(operation.tenant_id, str(wanted))
        except AWAY as problem:
            if self._clock.now() - operation.created_at < PATIENCE:
                raise NotYet(f"choosing a snapshot: {problem.message}", again_s=AGAIN_S) from problem
            raise
        if found is None:
            which = f"snapshot that begins with {str(wanted)[:64]!r}, or more than one" if wanted else "snapshot yet"
            raise NothingToDrill(f"{operation.tenant} has no {which}.")
        return found

    async def _run(self, run: DrillRun) -> None:
        spec, agent = await run.described()
        await self._berth.admit(run.drill, spec.limits.memory_mb)
        units = await run.laid_out()
        place = await self._gear.room.ready(run.drill)
        blueprint = run.blueprint(spec, agent, units)
        await run.looked_through(spec, agent, blueprint)
        token = await run.configured(spec, agent, units, place)
        await self._berth.turn(run.drill)
        await run.started(blueprint)
        await run.ready(spec, agent, place)
        self._berth.started(run.drill)
        await run.asked(spec, agent, place, token)

    async def _left(self) -> list[str]:
        return sorted({*(await self._gear.room.leftovers()), *(await self._gear.staging.names())})

    async def _cleared(self, drill: str) -> None:
        await self._gear.room.close(drill)
        await self._gear.staging.erase(drill)

    async def _thrown_away(self, drill: str) -> None:
        with suppress(Problem):  # it is looked for again: `sweep`
            await self._cleared(drill)

    def _told(self, drill: Drill) -> Mapping[str, Any]:
        if drill.outcome is Outcome.PROVEN:
            return drill.result
        says = f"{drill.failed_at}: {drill.says}"
        if drill.outcome is Outcome.FAILED:
            alert = f"The snapshot {short_id(drill.snapshot)} of {drill.tenant} can't be brought up: {says}"
            self._bus.publish(AlertRaised(tenant=drill.tenant, code=FAILED, says=alert))
        else:
            alert = f"The snapshot {short_id(drill.snapshot)} of {drill.tenant} couldn't be drilled: {says}"
            self._bus.publish(AlertRaised(tenant=drill.tenant, code=UNTRIED, says=alert))
        kind = next((each for each in documented() if each.code == drill.code), DrillFailed)
        raise kind(f"It failed at {says}")

    async def sweep(self) -> list[str]:
        """Throw away what drills have left that nobody is at any more; of which it was."""
        swept = []
        for drill in await self._left():
            async with self._store.look() as tx:
                operation = await tx.operation(drill.rpartition("_")[0])
            if operation is None or operation.status.ended:
                await self._cleared(drill)
                swept.append(drill)
        return swept


def _told_broken(databases: Sequence[str]) -> str:
    return f"With broken databases, as the tenant had them: {', '.join(databases)}"[:_TOLD]
