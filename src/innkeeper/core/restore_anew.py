"""A restore to a tenant that isn't there: another one, with keys and tokens of its own, or the very one, on a host that
has lost it. Its row is there from the beginning, closed by the operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from typing import Any

from innkeeper.core.access import SYSTEM
from innkeeper.core.audit import entry
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import Problem, StaleLease, StoreUnavailable, Superseded, UnitFault
from innkeeper.core.events import Bus, SecretsChanged, TenantChanged, TenantGone
from innkeeper.core.manifest import Manifest
from innkeeper.core.operations import Operation
from innkeeper.core.ports import Clock, DataKeys, Seals, Store
from innkeeper.core.ports.stages import Stages
from innkeeper.core.proving import Proving
from innkeeper.core.restore_asked import told as told_snapshot
from innkeeper.core.restore_way import Way, opened, way_of
from innkeeper.core.restored_secrets import connections_of, names_of, put_back, sealed_anew
from innkeeper.core.restored_spec import check_referred
from innkeeper.core.staging import Staging
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.core.works import Tell

STORE_AGAIN_S = 5.0

Adopt = Callable[[str, str], Awaitable[object]]
"""Has the store know of the snapshots that the targets have of a tenant's id and name."""


class Step(StrEnum):
    """What is being done."""

    STAGING = "staging"
    FILLING = "filling"
    PROVING = "proving"
    TIDYING = "tidying"


class RestoreAnew:
    """Has a snapshot become a tenant."""

    def __init__(
        self,
        *,
        store: Store,
        staging: Staging,
        stages: Stages,
        seals: Seals,
        keys: DataKeys,
        proving: Proving,
        adopt: Adopt,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._store = store
        self._staging = staging
        self._stages = stages
        self._seals = seals
        self._keys = keys
        self._proving = proving
        self._adopt = adopt
        self._bus = bus
        self._clock = clock

    async def carry_out(self, operation: Operation, tell: Tell) -> Mapping[str, Any]:
        """Go on from the step that was written down last. Until it is started, whatever fails takes its row away; what
        was started and isn't healthy is left for somebody to look at."""
        way = way_of(operation, tell)
        steps = {Step.STAGING: self._stage, Step.FILLING: self._fill, Step.PROVING: self._prove}
        step = Step(way.phase or Step.STAGING)
        while step is not Step.TIDYING:
            step = await self._taken(way, step, steps[step])
            await tell.keep(phase=step)
        return await self._tidy(way)

    async def _taken(self, way: Way, step: Step, take: Callable[[Way], Awaitable[Step]]) -> Step:
        try:
            return await take(way)
        except (StaleLease, NotYet):
            raise
        except StoreUnavailable as problem:
            raise NotYet(f"the database doesn't answer: {problem.message}", again_s=STORE_AGAIN_S) from problem
        except Superseded:
            await self._stages.drop(way.stage, way.name)
            raise
        except Exception:
            if step is not Step.PROVING:
                try:
                    await self._unmake(way)
                except StoreUnavailable as problem:  # else its row would stay, closed by what has ended
                    raise NotYet(f"the database doesn't answer: {problem.message}", again_s=STORE_AGAIN_S) from problem
            await self._stages.drop(way.stage)
            raise

    async def _stage(self, way: Way) -> Step:
        await self._tenant(way)
        await self._staging.take_down(way.asked, way.stage, way.tell)
        return Step.FILLING

    async def _fill(self, way: Way) -> Step:
        """Its folder, its secrets, and leave to start."""
        way.tell.step("starting it", 0, 2)
        tenant = await self._tenant(way)
        manifest = await self._staging.manifest(way.stage)
        configs = await self._staging.unreadable_configs(tenant.spec, way.stage)
        if tenant.closed == way.operation.id:  # as it is to be again, for from its start on it is wanted up
            await way.tell.keep(asleep=tenant.wanted is Wanted.ASLEEP)
        await self._keys.ready(tenant.id)
        await self._stages.place(way.stage, way.name)
        async with self._store.begin() as tx:
            tenant = way.still(await tx.tenant(way.name))
            if tenant.closed != way.operation.id:
                return Step.PROVING
            if tenant.id == manifest.tenant_id:
                _, unreadable = await put_back(tx, manifest, self._seals, replaced=False, by=way.operation.id)
            else:
                unreadable = await sealed_anew(tx, manifest, self._seals, owner=tenant.id, name=tenant.name)
            names = {each.name for each in await tx.secrets.versions(tenant.id)}
            check_referred(tenant.spec, names)
            started = opened(tenant, awake=True)
            await tx.change_tenant(started, from_revision=tenant.revision)
            await tx.reset_seen(tenant.name, started.seen)
        await way.tell.keep(
            secrets_unreadable=list(unreadable),
            connections=connections_of(manifest),
            configs=configs,
        )
        self._tell(started, manifest)
        return Step.PROVING

    async def _prove(self, way: Way) -> Step:
        way.tell.step("waiting until it is ready", 1, 2)
        tenant = await self._tenant(way)
        try:
            await self._proving.until_ready(tenant)
        except (StoreUnavailable, Superseded):
            raise
        except Problem as problem:
            problem.message = f"{way.name} was restored, and isn't healthy: {problem.message}"
            problem.hint = f"It is left as it is: see `innkeeper tenant show {way.name}` and its logs."
            raise
        return Step.TIDYING

    async def _tidy(self, way: Way) -> Mapping[str, Any]:
        kept = way.kept
        async with self._store.begin() as tx:
            tenant = await tx.tenant(way.name)
            if tenant is not None and kept.get("asleep") and tenant.wanted is Wanted.AUTO:
                tenant = replace(tenant, wanted=Wanted.ASLEEP)
                await tx.change_tenant(tenant, from_revision=tenant.revision)
        if tenant is not None:
            self._bus.publish(TenantChanged(tenant=tenant.name, now=tenant))
        if tenant is not None and tenant.id == way.asked.snapshot.tenant_id:
            way.tell.step("listing its snapshots", 1, 2)
            with suppress(Problem):  # its next backup does so as well
                await self._adopt(tenant.id, tenant.name)
        with suppress(UnitFault):  # the sweep comes back for what can't be erased now
            await self._stages.drop(way.stage, way.name)
        return {
            "snapshot": told_snapshot(way.asked.snapshot),
            "fenced": tenant is not None and tenant.fenced,
            "secrets_unreadable": kept.get("secrets_unreadable", []),
            "hostnames_taken": kept.get("hostnames_taken", []),
            "connect_again": kept.get("connections", []),
            "configs_kept_aside": kept.get("configs", []),
        }

    async def _tenant(self, way: Way) -> Tenant:
        async with self._store.look() as tx:
            return way.still(await tx.tenant(way.name))

    async def _unmake(self, way: Way) -> None:
        """There is no such tenant, as before; only what was made for it goes, never the key of one who was restored."""
        await self._stages.swap_back(way.stage, way.name)
        async with self._store.begin() as tx:
            tenant = await tx.tenant(way.name)
            if tenant is None or tenant.closed != way.operation.id:
                return
            await tx.drop_tenant(tenant.name, tenant.id)
            detail = {"operation": way.operation.id, "snapshot": way.asked.snapshot.id}
            await tx.audit(entry(SYSTEM, "tenant.restore_undone", at=self._clock.now(), of=tenant, detail=detail))
        if tenant.id != way.asked.snapshot.tenant_id:
            await self._keys.destroy(tenant.id)
        self._bus.publish(TenantGone(tenant=tenant.name, tenant_id=tenant.id))

    def _tell(self, tenant: Tenant, manifest: Manifest) -> None:
        for name in names_of(manifest):
            self._bus.publish(SecretsChanged(tenant=tenant.name, owner=tenant.id, name=name))
        self._bus.publish(TenantChanged(tenant=tenant.name, now=tenant))
