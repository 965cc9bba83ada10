"""The use cases: what the API, the CLI and other loops ask for. Each is one transaction that says what should be.

Nothing here acts on a runtime: a change is written down, told to the bus, and the reconciler does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from innkeeper.core import schedule
from innkeeper.core.access import Actor
from innkeeper.core.audit import difference, entry, told
from innkeeper.core.egress import check_enforceable
from innkeeper.core.errors import (
    Conflict,
    Invalid,
    InvalidName,
    RungMissing,
    TenantExists,
    TenantLeaving,
    UnitExists,
    UnknownAgent,
    UnknownOperation,
    UnknownTenant,
)
from innkeeper.core.events import Bus, OperationChanged, Subscription, TenantChanged
from innkeeper.core.hosting import CONSOLE
from innkeeper.core.ids import new_id
from innkeeper.core.instance import State
from innkeeper.core.ladder import DEFAULT_PRESET, PRESETS, TIERS, Offer, Rung
from innkeeper.core.leftovers import former
from innkeeper.core.once import Once, begun_before, remember
from innkeeper.core.operations import DEADLINES, Operation, OperationKind, erased
from innkeeper.core.pack_releases import check_packs
from innkeeper.core.plans import Plans
from innkeeper.core.policy import Presets
from innkeeper.core.ports import Agent, Clock, Store, Transaction, Units
from innkeeper.core.references import check_references
from innkeeper.core.releases import Releases
from innkeeper.core.remaking import retried, rung_after
from innkeeper.core.specs import Known, SpecPatch, changed_spec, new_spec, same_instance
from innkeeper.core.tenant import Spec, Tenant, Wanted, check_name


class Control:
    """Changes what should be, and tells what is."""

    def __init__(
        self,
        *,
        store: Store,
        agents: Mapping[str, Agent],
        units: Units,
        releases: Releases,
        bus: Bus,
        clock: Clock,
        domain: str,
        offer: Offer | None = None,
        presets: Presets = PRESETS,
        preset: str = DEFAULT_PRESET,
        plans: Plans | None = None,
        cannot_enforce: str | None = None,
    ) -> None:
        self.store = store
        self.agents = agents
        self._units = units
        self._releases = releases
        self._bus = bus
        self._clock = clock
        self._domain = domain
        self.offer = offer or Offer()
        self.presets = presets
        self._preset = preset
        self.plans = plans or {}
        self._cannot_enforce = cannot_enforce

    # --- reading ------------------------------------------------------------------------------------------------------

    @property
    def preset(self) -> str:
        """The sleep policy of tenants for whom nothing else is said."""
        return self._preset

    @property
    def _known(self) -> Known:
        return {"domain": self._domain, "presets": self.presets, "plans": self.plans}

    def agent(self, name: str) -> Agent:
        """The adapter of that name, or UnknownAgent."""
        if name not in self.agents:
            known = ", ".join(sorted(self.agents))
            raise UnknownAgent(f"There is no agent {name[:60]!r}.", field="agent", hint=f"There are: {known}.")
        return self.agents[name]

    async def tenant(self, name: str) -> Tenant:
        """The tenant, or UnknownTenant."""
        async with self.store.look() as tx:
            return _found(await tx.tenant(name), name)

    async def operation(self, operation_id: str) -> Operation:
        """The operation, or UnknownOperation."""
        async with self.store.look() as tx:
            operation = await tx.operation(operation_id)
            erasure = None if operation else await tx.erasure_by(operation_id[:60])
        if operation is not None:
            return operation
        if erasure is not None:
            return erased(operation_id, erasure)
        raise UnknownOperation(f"There is no operation {operation_id[:60]!r}.")

    async def wait(self, operation_id: str, *, timeout_s: float) -> Operation:
        """The operation when it has ended, or as it stands after `timeout_s`."""
        with self._bus.subscribe() as events:
            operation = await self.operation(operation_id)
            try:
                async with asyncio.timeout(timeout_s):
                    while not operation.status.ended:
                        operation = await self._moved(operation, events)
            except TimeoutError:
                pass
        return operation

    async def _moved(self, operation: Operation, events: Subscription) -> Operation:
        """The operation after its next event, or looked up after a second: another control plane may be at work."""
        try:
            async with asyncio.timeout(1):
                while True:
                    event = await events.get()
                    if isinstance(event, OperationChanged) and event.operation.id == operation.id:
                        return event.operation
        except TimeoutError:
            return await self.operation(operation.id)

    def check_new_name(self, name: str) -> None:
        """Raise InvalidName where no tenant can be called so."""
        if check_name(name) == CONSOLE:
            raise InvalidName(
                f"{CONSOLE}.{self._domain} is the console's own host.", field="name", hint="Choose another name."
            )

    async def new_spec(self, agent_name: str, patch: SpecPatch) -> Spec:
        """The whole spec of a tenant that is made of the patch; raises what is wrong with it."""
        agent = self.agent(agent_name)
        release = await self._releases.choose(agent, patch)
        spec = new_spec(agent, release, patch, **self._known, preset=self._preset)
        check_enforceable(spec.uses, self._cannot_enforce)
        return spec

    # --- changing -----------------------------------------------------------------------------------------------------

    async def create(
        self,
        name: str,
        agent_name: str,
        patch: SpecPatch,
        *,
        actor: Actor,
        wanted: Wanted = Wanted.AUTO,
        adopt: bool = False,
        once: Once | None = None,
    ) -> tuple[Tenant, Operation]:
        """A new tenant, to be provisioned. `adopt` takes over a folder that a former tenant of the name left."""
        self.check_new_name(name)
        if wanted is Wanted.GONE:
            raise Invalid("A tenant can't be created gone.", field="wanted")
        spec = await self.new_spec(agent_name, patch)
        left_over = await self._units.exists(name)
        async with self.store.begin() as tx:
            if (again := await self._again(tx, actor, once)) is not None:
                return _found(await tx.tenant(name), name), again
            there = await tx.tenant(name)
            if there is not None:
                _still_there(there)
            if left_over and not adopt:
                raise UnitExists(f"A folder of a former tenant {name} is still there.", field="name")
            await check_packs(tx, patch.packs)
            now = self._clock.now()
            tenant = Tenant(
                id=new_id("tn"), name=name, spec=spec, slot=await tx.free_slot(), created_at=now, wanted=wanted
            )
            await tx.add_tenant(tenant)
            operation = await self._begin(tx, OperationKind.PROVISION, tenant, actor, once)
            await tx.audit(entry(actor, "tenant.create", at=now, of=tenant, after=told(tenant)))
        return self._tell(tenant, operation)

    async def update(
        self,
        name: str,
        patch: SpecPatch,
        *,
        actor: Actor,
        wanted: Wanted | None = None,
        once: Once | None = None,
    ) -> tuple[Tenant, Operation]:
        """A new revision of the spec, or another wanted state; the instance is made anew where that needs it."""
        if wanted is Wanted.GONE:
            raise Invalid("`wanted` becomes gone by DELETE.", field="wanted", hint="Use DELETE /v1/tenants/NAME.")
        before = await self.tenant(name)
        agent = self.agent(before.spec.agent)
        release = await self._releases.choose(agent, patch, now=before)
        async with self.store.begin() as tx:
            tenant = _found(await tx.tenant(name), name)
            if (again := await self._again(tx, actor, once)) is not None:
                return tenant, again
            _not_leaving(tenant)
            if tenant.revision != before.revision:
                raise Conflict(f"{name} was changed by somebody else just now.", hint="Look again, then repeat.")
            spec = changed_spec(tenant.spec, agent, release, patch, **self._known)
            await check_packs(tx, patch.packs)
            if patch.config is not None:
                await check_references(tx, tenant, spec)
            if spec.uses.egress != tenant.spec.uses.egress:
                check_enforceable(spec.uses, self._cannot_enforce)
            remade = not same_instance(tenant.spec, spec)
            revision = tenant.revision + (spec != tenant.spec)
            changed = replace(
                tenant,
                spec=spec,
                wanted=wanted or tenant.wanted,
                revision=revision,
                remade_at=revision if remade else tenant.remade_at,
                rung=rung_after(tenant.rung, wanted, remade=remade),
            )
            changed = retried(changed, tenant)
            fields = [key for key, value in vars(patch).items() if value is not None]
            operation = await self._change(tx, OperationKind.UPDATE, changed, tenant, actor, once, fields=fields)
        return self._tell(changed, operation)

    async def restart(self, name: str, *, actor: Actor, once: Once | None = None) -> tuple[Tenant, Operation]:
        """A fresh instance of the same spec: a new revision that differs in nothing else."""
        return await self._steer(
            name,
            OperationKind.RESTART,
            lambda t: replace(
                t, revision=t.revision + 1, remade_at=t.revision + 1, rung=Rung.RUNNING, wanted=_awake(t.wanted)
            ),
            actor=actor,
            once=once,
        )

    async def wake(self, name: str, *, actor: Actor, once: Once | None = None) -> tuple[Tenant, Operation]:
        """Up the ladder to running, also from a sleep that was ordered."""
        return await self._steer(
            name,
            OperationKind.WAKE,
            lambda t: replace(t, rung=Rung.RUNNING, wanted=_awake(t.wanted)),
            actor=actor,
            once=once,
        )

    async def sleep(self, name: str, tier: str, *, actor: Actor, once: Once | None = None) -> tuple[Tenant, Operation]:
        """Down the ladder to `tier`, unless it sleeps deeper already; the next request wakes it again."""
        if tier not in TIERS:
            raise Invalid(f"There is no tier {tier[:40]!r}.", field="tier", hint=f"There are: {', '.join(TIERS)}.")
        rung = TIERS[tier]
        if rung in self.offer.missing:
            raise RungMissing(
                f"This host has no tier `{tier}`: {self.offer.missing[rung]}.",
                hint=f"There are: {', '.join(name for name, rung in TIERS.items() if rung not in self.offer.missing)}.",
            )

        def down(tenant: Tenant) -> Tenant:
            if tenant.wanted is Wanted.AWAKE:
                raise Conflict(f"{name} is to be always awake.", hint="Set `wanted` to `auto` first.")
            if tenant.seen.state is State.FAILED:
                raise Conflict(
                    f"{name} has failed: nothing of it runs that could sleep.",
                    hint=f"See why in `innkeeper tenant show {name}`; `innkeeper tenant restart {name}` tries again.",
                )
            if tenant.target is State.RUNNING and tenant.seen.state in (State.ABSENT, State.STARTING):
                raise Conflict(
                    f"{name} is still starting.",
                    hint=f"Wait until `innkeeper tenant show {name}` says ready, or say that it should be down: "
                    f"`innkeeper tenant update {name} --wanted asleep`.",
                )
            if (window := schedule.awake_until(tenant.spec.sleep.schedule, self._clock.now())) is not None:
                raise Conflict(
                    f"{name} is kept awake by its schedule: `{window[0]}`, until {window[1]:%Y-%m-%d %H:%M} UTC.",
                    hint="Change `sleep.schedule`, or set `wanted` to `asleep` for as long as it should be down.",
                )
            return replace(tenant, rung=max(tenant.rung, rung, key=lambda each: each.depth))

        return await self._steer(name, OperationKind.SLEEP, down, actor=actor, once=once, tier=tier)

    async def delete(
        self, name: str, *, purge: bool, actor: Actor, once: Once | None = None
    ) -> tuple[Tenant, Operation]:
        """Away with it; its folder stays unless `purge`. Asking twice is fine, and may add the purge; also later, to
        what a former tenant of the name has left."""
        has_folder = purge and await self._units.exists(name)
        async with self.store.begin() as tx:
            if (again := await self._again(tx, actor, once)) is not None:
                gone = await tx.tenant(name)
                if gone is not None:
                    return gone, again
                raise UnknownTenant(f"{name} is gone already.")
            tenant = await tx.tenant(name)
            if tenant is None and purge:
                tenant = await former(tx, name, has_folder=has_folder, now=self._clock.now())
            tenant = _found(tenant, name)
            changed = replace(tenant, wanted=Wanted.GONE, purge=tenant.purge or purge)
            operation = await self._change(tx, OperationKind.DELETE, changed, tenant, actor, once, purge=purge)
        return self._tell(changed, operation)

    # --- shared steps -------------------------------------------------------------------------------------------------

    async def _steer(
        self,
        name: str,
        kind: OperationKind,
        change: Callable[[Tenant], Tenant],
        *,
        actor: Actor,
        once: Once | None,
        **detail: object,
    ) -> tuple[Tenant, Operation]:
        async with self.store.begin() as tx:
            tenant = _found(await tx.tenant(name), name)
            if (again := await self._again(tx, actor, once)) is not None:
                return tenant, again
            _not_leaving(tenant)
            changed = retried(change(tenant), tenant)
            operation = await self._change(tx, kind, changed, tenant, actor, once, **detail)
        return self._tell(changed, operation)

    async def _change(
        self,
        tx: Transaction,
        kind: OperationKind,
        changed: Tenant,
        tenant: Tenant,
        actor: Actor,
        once: Once | None,
        **detail: object,
    ) -> Operation:
        await tx.change_tenant(changed, from_revision=tenant.revision)
        if changed.seen != tenant.seen:
            await tx.reset_seen(tenant.name, changed.seen)
        operation = await self._begin(tx, kind, changed, actor, once)
        before, after = difference(told(tenant), told(changed))
        line = entry(
            actor, f"tenant.{kind}", at=self._clock.now(), of=changed, before=before, after=after, detail=detail
        )
        await tx.audit(line)
        return operation

    async def _begin(
        self, tx: Transaction, kind: OperationKind, tenant: Tenant, actor: Actor, once: Once | None
    ) -> Operation:
        now = self._clock.now()
        operation = Operation(
            id=new_id("op"),
            kind=kind,
            tenant=tenant.name,
            tenant_id=tenant.id,
            revision=tenant.revision,
            created_at=now,
            updated_at=now,
            deadline=now + DEADLINES[kind],
        )
        await tx.add_operation(operation)
        await remember(tx, actor, once, operation.id, now)
        return operation

    async def _again(self, tx: Transaction, actor: Actor, once: Once | None) -> Operation | None:
        """The operation that this very request began before, or None where it is new."""
        began = await begun_before(tx, actor, once)
        return await tx.operation(began) if began else None

    def _tell(self, tenant: Tenant, operation: Operation) -> tuple[Tenant, Operation]:
        self._bus.publish(TenantChanged(tenant=tenant.name, now=tenant))
        self._bus.publish(OperationChanged(tenant=tenant.name, operation=operation))
        return tenant, operation


def _awake(wanted: Wanted) -> Wanted:
    return Wanted.AUTO if wanted is Wanted.ASLEEP else wanted


def _found(tenant: Tenant | None, name: str) -> Tenant:
    if tenant is None:
        raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
    return tenant


def _still_there(tenant: Tenant) -> None:
    _not_leaving(tenant)
    raise TenantExists(f"There is a tenant {tenant.name} already.", field="name")


def _not_leaving(tenant: Tenant) -> None:
    if tenant.wanted is Wanted.GONE:
        raise TenantLeaving(f"{tenant.name} is being deleted.")
