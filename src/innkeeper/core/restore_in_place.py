"""A restore in place, from phase to phase: each is written down before it begins, and can be taken again after a crash.

Until the tenant is closed nothing of it was touched. From then on the former folder lies beside the new one, and takes
its place again unless what was restored becomes ready.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from innkeeper.core.access import SYSTEM
from innkeeper.core.audit import difference, entry, told
from innkeeper.core.boarding import NotYet
from innkeeper.core.closing import Closing
from innkeeper.core.errors import Problem, StaleLease, StoreUnavailable, Superseded, UnitFault
from innkeeper.core.events import AlertRaised, Bus, SecretsChanged, TenantChanged
from innkeeper.core.instance import State
from innkeeper.core.kept_json import as_json, spec_of
from innkeeper.core.operations import Operation, Trouble
from innkeeper.core.ports import Clock, Seals, Store, Transaction
from innkeeper.core.ports.stages import Stages
from innkeeper.core.proving import Proving
from innkeeper.core.restore_asked import told as told_snapshot
from innkeeper.core.restore_errors import RestoreStuck, RestoreUndone
from innkeeper.core.restore_way import Phase, Way, opened, trouble_of, way_of
from innkeeper.core.restored_secrets import connections_of, names_of, put_back, take_away
from innkeeper.core.restored_spec import RestoredSpecs, check_referred, with_free_hostnames
from innkeeper.core.staging import Staging
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.core.works import Tell

DOWN_MARGIN_S = 60.0
"""Beside the agent's own grace."""
STORE_AGAIN_S = 5.0
AHEAD_S = 30.0
"""So much longer than staging the snapshot may saving the present state ahead take; then the tenant is brought down."""
RETURNS, RETURN_AGAIN_S = 5, 30.0
"""How often the way back is tried before somebody is called: the runtime may be away for a while."""
FORMER = "former.json"
SAFETY = "safety_snapshot"
ALERT = "restore.stuck"

Safety = Callable[[Tenant, Operation, Tell], Awaitable[str | None]]
"""Takes a snapshot of the tenant as it is, closed; its id, or None where there is nothing to be snapshotted. It is kept
at least until the operation has ended."""
Ahead = Callable[[Tenant, Operation, Tell], Coroutine[Any, Any, None]]
"""Saves what it can of the same before, while the tenant lives."""


class RestoreInPlace:
    """Has a snapshot of a tenant take the place of what it is now."""

    def __init__(
        self,
        *,
        store: Store,
        staging: Staging,
        stages: Stages,
        specs: RestoredSpecs,
        seals: Seals,
        closing: Closing,
        proving: Proving,
        safety: Safety,
        ahead: Ahead,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._store = store
        self._staging = staging
        self._stages = stages
        self._specs = specs
        self._seals = seals
        self._closing = closing
        self._proving = proving
        self._safety = safety
        self._ahead = ahead
        self._bus = bus
        self._clock = clock

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Go on from the phase that was written down last."""
        way = way_of(operation, tell)
        steps = {
            Phase.STAGING: self._stage,
            Phase.CLOSING: self._close,
            Phase.SAVING: self._save,
            Phase.SWAPPING: self._swap,
            Phase.OPENING: self._open,
            Phase.PROVING: self._prove,
            Phase.RETURNING: self._return,
        }
        phase = Phase(way.phase or Phase.STAGING)
        while phase is not Phase.TIDYING:
            following = await self._taken(way, phase, steps[phase])
            await tell.keep(phase=following)
            phase = following
        return await self._tidy(way)

    async def _taken(self, way: Way, phase: Phase, step: Callable[[Way], Awaitable[Phase]]) -> Phase:
        try:
            return await step(way)
        except (StaleLease, NotYet):
            raise
        except StoreUnavailable as problem:
            raise NotYet(f"the database doesn't answer: {problem.message}", again_s=STORE_AGAIN_S) from problem
        except Superseded:
            await self._abandon(way)
            raise
        except Exception as error:
            if phase is Phase.RETURNING:
                raise await self._stuck(way, error) from error
            if phase.is_after_swap:
                await way.tell.keep(why=vars(trouble_of(error)))
                return Phase.RETURNING
            await self._left_as_it_was(way, phase)
            raise

    async def _left_as_it_was(self, way: Way, phase: Phase) -> None:
        if phase is not Phase.STAGING:
            try:
                await self._closing.reopen(way.name, way.operation.id)
            except StoreUnavailable as problem:
                raise NotYet(f"the database doesn't answer: {problem.message}", again_s=STORE_AGAIN_S) from problem
        await self._stages.drop(way.stage)

    # --- the phases ---------------------------------------------------------------------------------------------------

    async def _stage(self, way: Way) -> Phase:
        """Take the snapshot down and see whether it can be run here, while the tenant lives on."""
        tenant = await self._tenant(way)
        async with self._saving_ahead(tenant, way):
            manifest = await self._staging.take_down(way.asked, way.stage, way.tell)
            spec = await self._specs.of(manifest, now=tenant.spec, whole=way.asked.whole_spec)
            async with self._store.look() as tx:
                there = {each.name for each in await tx.secrets.versions(tenant.id)}
            check_referred(spec, there | names_of(manifest))
        return Phase.CLOSING

    @asynccontextmanager
    async def _saving_ahead(self, tenant: Tenant, way: Way) -> AsyncIterator[None]:
        """Save the present state at the same time, so that little is left for when the tenant is down; that it can't
        be is found out then, too."""
        if not way.asked.safety:
            yield
            return
        saving = asyncio.create_task(self._ahead(tenant, way.operation, way.tell), name=f"ahead:{tenant.name}")
        try:
            yield
            await asyncio.wait([saving], timeout=AHEAD_S)
        finally:
            saving.cancel()
            await _to_its_end(saving)

    async def _close(self, way: Way) -> Phase:
        """Bring the instance down, and go on only when the runtime says that there is none."""
        way.tell.step("bringing the tenant down", 1, 6)
        tenant = await self._closing.close(way.name, way.operation.id)
        await self._until_down(tenant)
        return Phase.SAVING

    async def _save(self, way: Way) -> Phase:
        """Snapshot the present state."""
        way.tell.step("taking a snapshot of the present state", 2, 6)
        if way.asked.safety and SAFETY not in way.kept:
            try:
                saved = await self._safety(await self._tenant(way), way.operation, way.tell)
            except StoreUnavailable:
                raise
            except Problem as problem:
                problem.message = f"The present state couldn't be snapshotted first, so it stays. {problem.message}"
                raise
            await way.tell.keep(**{SAFETY: saved})
        return Phase.SWAPPING

    async def _swap(self, way: Way) -> Phase:
        """Write down how the tenant was, then have the folders change places."""
        way.tell.step("swapping the folders", 3, 6)
        tenant = await self._tenant(way)
        if await self._stages.noted(way.stage, FORMER) is None:
            async with self._store.look() as tx:
                secrets = sorted({each.name for each in await tx.secrets.versions(tenant.id)})
            former = {"spec": json.loads(as_json(tenant.spec)), "wanted": tenant.wanted, "secrets": secrets}
            await self._stages.note(way.stage, FORMER, json.dumps(former).encode())
        await way.tell.keep(asleep=(await self._former(way))[1] is Wanted.ASLEEP)
        await self._stages.swap(way.stage, way.name)
        return Phase.OPENING

    async def _open(self, way: Way) -> Phase:
        """In one transaction: the spec of then, its secrets, tokens that nobody knows, and leave to start."""
        way.tell.step("starting it", 4, 6)
        manifest = await self._staging.manifest(way.stage)
        spec = await self._specs.of(manifest, now=(await self._former(way))[0], whole=way.asked.whole_spec)
        configs = await self._staging.unreadable_configs(spec, way.stage)
        facts: dict[str, Any] = {}
        async with self._store.begin() as tx:
            tenant = await self._closed(tx, way)
            if tenant is not None:
                free = await with_free_hostnames(tx, way.name, spec)
                back, unreadable = await put_back(
                    tx, manifest, self._seals, replaced=way.asked.replace_secrets, by=way.operation.id
                )
                started = opened(replace(tenant, spec=free.spec), awake=True)
                await self._write(tx, tenant, started, "tenant.restored", way, secrets=list(back))
                facts = {"hostnames_taken": list(free.hostnames_taken), "secrets_back": list(back)}
                facts |= {
                    "secrets_unreadable": list(unreadable),
                    "connections": connections_of(manifest),
                    "configs": configs,
                }
        if tenant is not None:
            await way.tell.keep(**facts)
            self._tell_all(started, facts["secrets_back"])
        return Phase.PROVING

    async def _prove(self, way: Way) -> Phase:
        """Wait until it is ready; only then is the former state given up."""
        way.tell.step("waiting until it is ready", 5, 6)
        await self._proving.until_ready(await self._tenant(way))
        return Phase.TIDYING

    async def _tidy(self, way: Way) -> Mapping[str, Any]:
        """It is healthy: the former folder goes, and who was asleep may sleep again."""
        way.tell.step("removing the former folder", 5, 6)
        await self._back_to_sleep(way)
        with suppress(UnitFault):  # the sweep comes back for what can't be erased now
            await self._stages.drop(way.stage, way.name)
        kept = way.kept
        return {
            "snapshot": told_snapshot(way.asked.snapshot),
            "safety": kept.get(SAFETY),
            "secrets_put_back": kept.get("secrets_back", []),
            "secrets_unreadable": kept.get("secrets_unreadable", []),
            "hostnames_taken": kept.get("hostnames_taken", []),
            "connect_again": kept.get("connections", []),
            "configs_kept_aside": kept.get("configs", []),
        }

    async def _return(self, way: Way) -> Phase:
        """What was restored isn't healthy: the former state takes its place again."""
        way.tell.step("putting the former state back", 0, 3)
        spec, wanted, secrets = await self._former(way)
        tenant = await self._tenant(way)
        if not way.kept.get("returned"):
            await self._until_down(await self._closing.close(way.name, way.operation.id))
            await self._stages.swap_back(way.stage, way.name)
            manifest = await self._staging.manifest(way.stage)
            gone: list[str] = []
            async with self._store.begin() as tx:
                closed = await self._closed(tx, way)
                if closed is not None:
                    free = await with_free_hostnames(tx, way.name, spec)
                    gone = list(await take_away(tx, manifest, secrets, by=way.operation.id))
                    tenant = opened(replace(closed, spec=free.spec, wanted=wanted), awake=False)
                    await self._write(tx, closed, tenant, "tenant.restore_undone", way)
            await way.tell.keep(returned=True)
            self._tell_all(tenant, gone)
        way.tell.step("waiting until it is ready again", 2, 3)
        after = "The state before it is back."
        if tenant.target is State.RUNNING:
            try:
                await self._proving.until_ready(tenant)
                after = "The state before it is back and runs."
            except StoreUnavailable:
                raise
            except Problem as problem:
                after = f"The state before it is back, and isn't ready either: {problem.message}"
        why = Trouble(**way.kept["why"])
        await self._stages.drop(way.stage)
        raise _Undone(RestoreUndone(f"What was restored isn't healthy: {why.message.rstrip('.')}. {after}"))

    # --- what they share ----------------------------------------------------------------------------------------------

    async def _tenant(self, way: Way) -> Tenant:
        async with self._store.look() as tx:
            tenant = await tx.tenant(way.name)
        return way.still(tenant)

    async def _closed(self, tx: Transaction, way: Way) -> Tenant | None:
        """The tenant where it is closed by us still; None where that step was taken already."""
        tenant = way.still(await tx.tenant(way.name))
        return tenant if tenant.closed == way.operation.id else None

    async def _write(
        self, tx: Transaction, before: Tenant, after: Tenant, action: str, way: Way, **more: object
    ) -> None:
        await tx.change_tenant(after, from_revision=before.revision)
        await tx.reset_seen(after.name, after.seen)
        was, now = difference(told(before), told(after))
        detail = {"operation": way.operation.id, "snapshot": way.asked.snapshot.id, **more}
        await tx.audit(entry(SYSTEM, action, at=self._clock.now(), of=after, before=was, after=now, detail=detail))

    def _tell_all(self, tenant: Tenant, secrets: list[str]) -> None:
        for name in secrets:
            self._bus.publish(SecretsChanged(tenant=tenant.name, owner=tenant.id, name=name))
        self._bus.publish(TenantChanged(tenant=tenant.name, now=tenant))

    async def _until_down(self, tenant: Tenant) -> None:
        grace_s = self._specs.agent(tenant.spec).stop_grace_s
        await self._closing.until_down(tenant, timeout_s=grace_s + DOWN_MARGIN_S)

    async def _former(self, way: Way) -> tuple[Any, Wanted, list[str]]:
        kept = json.loads(await self._stages.noted(way.stage, FORMER) or b"{}")
        return spec_of(json.dumps(kept["spec"])), Wanted(kept["wanted"]), kept["secrets"]

    async def _back_to_sleep(self, way: Way) -> None:
        """Whoever was put to sleep by order was only woken for the proof."""
        if not way.kept.get("asleep"):
            return
        async with self._store.begin() as tx:
            tenant = await tx.tenant(way.name)
            if tenant is None or tenant.wanted is not Wanted.AUTO or tenant.id != way.operation.tenant_id:
                return
            asleep = replace(tenant, wanted=Wanted.ASLEEP)
            await tx.change_tenant(asleep, from_revision=tenant.revision)
        self._bus.publish(TenantChanged(tenant=way.name, now=asleep))

    async def _abandon(self, way: Way) -> None:
        """The tenant is being deleted: what lies there stays, and what was to come goes, but for the only copy there is
        of the former state."""
        phase = Phase(way.phase or Phase.STAGING)
        if not phase.is_after_swap or way.kept.get(SAFETY):
            await self._stages.drop(way.stage, way.name)

    async def _stuck(self, way: Way, error: Exception) -> Problem:
        """Nothing more can be done by itself: it stays closed, and somebody is called."""
        if isinstance(error, _Undone):
            return error.problem
        attempts = int(way.kept.get("attempts", 0)) + 1
        await way.tell.keep(attempts=attempts)
        if attempts < RETURNS:
            raise NotYet(f"the former state can't be put back yet: {trouble_of(error).message}", again_s=RETURN_AGAIN_S)
        where = self._stages.folder(way.stage)
        says = (
            f"{way.name} is closed: what was restored isn't healthy, and the state before it couldn't be put back "
            f"({trouble_of(error).message.rstrip('.')}). All of it is kept in {where}."
        )
        await way.tell.keep(stuck=True)
        self._bus.publish(AlertRaised(tenant=way.name, code=ALERT, says=says))
        safety = way.kept.get(SAFETY)
        again = f"`innkeeper restore {way.name} --snapshot {safety}`" if safety else "a restore of any snapshot"
        return RestoreStuck(says, hint=f"Mend the cause; then {again} takes it from there.")


async def _to_its_end(task: asyncio.Task[None]) -> None:
    """Wait for what was cancelled, though we be cancelled meanwhile; whatever becomes of it."""
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    if not task.cancelled():
        task.exception()  # looked at, so that nobody complains that it wasn't


class _Undone(Exception):
    """The way back was gone to its end."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem
