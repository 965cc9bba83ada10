"""Holding a tenant still, for whoever copies what it has written: asleep it is kept asleep, awake it is frozen.

It is no state of the tenant's: who holds its lease meanwhile is all that there is to it. What should be stays as it
was, so whatever this process leaves behind, the next look finds an instance that is frozen and should run, and thaws
it; and nobody but the reconciler, who waits for the lease, would act on it in the meantime. That its agent was asked is
written down first, as for every sleep, so that whoever comes after us tells it to go on; and for as long as that stands
there, requests wait at the gate. Those of agents that can't be asked wait at their frozen door.

Copy as much as can be had without this before: who is asleep can't be woken, and who is awake doesn't answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from innkeeper.core.errors import AgentBusy, Problem, TenantLeaving, TenantNotReady, UnknownTenant
from innkeeper.core.events import Bus, StateChanged, StepTaken
from innkeeper.core.instance import Instance, State
from innkeeper.core.keeping import kept
from innkeeper.core.ladder import Rung
from innkeeper.core.plan import Step, is_ready
from innkeeper.core.ports import Clock, Consent, Lease, Runtime, Store
from innkeeper.core.stillness_errors import FrozenTooLong
from innkeeper.core.suspension import Suspensions
from innkeeper.core.tenant import Tenant, Wanted

LEASE_S = 8.0
"""Shorter than the reconciler's: when this process dies, its tenant is frozen for as long as the lease lasts."""
AT_MOST_S = 60.0
"""Nobody is frozen for longer, whatever becomes of the copy."""
NAPS_S = (0.1, 2.0)
"""The shortest and the longest wait between two tries; each is twice as long as the one before."""


class Still:
    """How a tenant is held still."""

    def __init__(self, *, was: State, consented: bool, since: datetime) -> None:
        self.was = was
        """What its instance was found to be: running, or one of those in which nothing of it moves."""
        self.consented = consented
        """Whether its agent had come to rest: what it has written is whole, by its own word. Always so of sleepers."""
        self.since = since
        self.frozen_s: float | None = None
        """From the order to freeze it to the end of the order to thaw it, known afterwards; None: it wasn't frozen."""


class _NotNow(Exception):
    """It can't be held still just now."""

    def __init__(self, why: Problem) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(frozen=True, kw_only=True)
class _Leave:
    """What its agent said."""

    tenant: Tenant
    """As it is written down since it was asked."""
    consent: Consent
    consented: bool


class Stillness:
    """Stops tenants for a moment."""

    def __init__(
        self,
        *,
        store: Store,
        runtime: Runtime,
        suspensions: Suspensions,
        bus: Bus,
        clock: Clock,
        holder: str,
        hurry: Callable[[str], object] = lambda name: None,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._suspensions = suspensions
        self._bus = bus
        self._clock = clock
        self._holder = holder
        self._hurry = hurry
        """Has the reconciler look at a tenant at once: it may have been wanted meanwhile."""

    @asynccontextmanager
    async def of(
        self,
        name: str,
        *,
        patience_s: float,
        without_consent_after_s: float | None = None,
        at_most_s: float = AT_MOST_S,
    ) -> AsyncIterator[Still]:
        """Hold the tenant still while the block runs; it goes on when the block ends, however it ends.

        Who is being started, stopped or in the middle of something is waited for, up to `patience_s`, and then
        AgentBusy or TenantNotReady says for what. After `without_consent_after_s` (None: never) it is frozen in the
        middle of whatever it is about, which `Still.consented` tells. A block that takes longer than `at_most_s` with
        one that runs is cancelled, and FrozenTooLong raised. UnknownTenant, TenantLeaving; StaleLease and whatever the
        runtime says, too.
        """
        clock = asyncio.get_running_loop().time
        began, nap_s = clock(), NAPS_S[0]
        while True:
            waited_s = clock() - began
            insists = without_consent_after_s is not None and waited_s >= without_consent_after_s
            try:
                async with self._at_once(name, insists=insists, at_most_s=at_most_s) as still:
                    yield still
            except _NotNow as not_now:
                if waited_s >= patience_s:
                    raise not_now.why from None
            else:
                return
            await asyncio.sleep(min(nap_s, max(0.0, patience_s - waited_s)))
            nap_s = min(NAPS_S[1], 2 * nap_s)

    @asynccontextmanager
    async def _at_once(self, name: str, *, insists: bool, at_most_s: float) -> AsyncIterator[Still]:
        """The same, or _NotNow."""
        lease = await self._store.claim(name, holder=self._holder, for_s=LEASE_S)
        if lease is None:
            await self._tenant(name)
            raise _NotNow(TenantNotReady(f"{name} is being worked on."))
        try:
            async with kept(lease, self._store, for_s=LEASE_S):
                tenant = await self._tenant(name)
                instance = await self._runtime.get(name)
                if self._is_up(tenant, instance, insists=insists):
                    async with self._frozen(tenant, instance, lease, insists=insists, at_most_s=at_most_s) as still:
                        yield still
                else:
                    yield Still(was=instance.state, consented=True, since=self._clock.now())
        finally:
            await self._store.release(lease)
            self._hurry(name)

    async def _tenant(self, name: str) -> Tenant:
        async with self._store.look() as tx:
            tenant = await tx.tenant(name)
        if tenant is None:
            raise UnknownTenant(f"There is no tenant {name!r}.")
        if tenant.wanted is Wanted.GONE:
            raise TenantLeaving(f"{name} is being deleted.")
        return tenant

    def _is_up(self, tenant: Tenant, instance: Instance, *, insists: bool) -> bool:
        """Whether it has to be frozen to be still; _NotNow while it is on its way up."""
        if instance.state is State.PAUSED and tenant.target is State.RUNNING and not insists:
            raise _NotNow(TenantNotReady(f"{tenant.name} is being woken."))
        if instance.state is not State.RUNNING:
            return False
        if instance.stuck or not (insists or is_ready(tenant.seen, instance)):
            raise _NotNow(TenantNotReady(f"{tenant.name} is starting."))
        return True

    @asynccontextmanager
    async def _frozen(
        self, tenant: Tenant, instance: Instance, lease: Lease, *, insists: bool, at_most_s: float
    ) -> AsyncIterator[Still]:
        leave = await self._ask(tenant, lease, insists=insists)
        still = Still(was=State.RUNNING, consented=leave.consented, since=self._clock.now())
        began = time.monotonic()
        try:
            await self._runtime.pause(instance)
            self._tell_step(tenant.name, Step.PAUSE, began)
            if leave.consent.until is not None and self._clock.now() >= leave.consent.until:
                if not insists:
                    raise _NotNow(AgentBusy(f"{tenant.name} is busy: its leave was over before it was frozen."))
                still.consented = False
            async with _no_longer_than(at_most_s, tenant.name):
                yield still
        finally:
            thawing = asyncio.create_task(self._thaw(leave.tenant, instance, lease), name=f"thaw:{tenant.name}")
            still.frozen_s = await _to_its_end(thawing) - began

    async def _ask(self, tenant: Tenant, lease: Lease, *, insists: bool) -> _Leave:
        """Ask its agent to rest, and write down before that it is asked; _NotNow when it has something to do."""
        in_use = False
        try:
            await self._suspensions.check_in_flight(tenant)
        except AgentBusy as busy:
            if not insists:
                raise _NotNow(busy) from None
            in_use = True
        name = self._suspensions.asked(tenant, Rung.PAUSED)
        asked = await self._record(lease, tenant, name)
        consent = await self._suspensions.ask(asked, Rung.PAUSED)
        answered = await self._record(lease, asked, consent.suspension)
        if consent.objection is not None and not insists:
            await self._suspensions.end(answered)
            await self._record(lease, answered, None)
            raise _NotNow(AgentBusy(f"{tenant.name} is busy: {consent.objection}."))
        # Who can be asked knows best; of the others only what moves on their connections is known.
        consented = consent.objection is None and (name is not None or not in_use)
        return _Leave(tenant=answered, consent=consent, consented=consented)

    async def _thaw(self, tenant: Tenant, instance: Instance, lease: Lease) -> float:
        """Thaw it, with the word already at its door that it may go on; when that was done, by the monotonic clock.

        Where it fails the reconciler takes over: it is hurried as soon as the lease is free.
        """
        began = time.monotonic()
        telling = asyncio.create_task(self._suspensions.end(tenant), name=f"resume:{tenant.name}")
        try:
            await self._runtime.unpause(instance)
        except Problem as problem:
            telling.cancel()
            self._tell_step(tenant.name, Step.UNPAUSE, began, problem.code)
            return time.monotonic()
        thawed_at = time.monotonic()
        self._tell_step(tenant.name, Step.UNPAUSE, began)
        with suppress(Problem):  # it goes on by itself when its leave is over; and the reconciler tells it, too
            await telling
            await self._record(lease, await self._as_it_is_now(tenant), None)
        return thawed_at

    async def _record(self, lease: Lease, tenant: Tenant, suspension: str | None) -> Tenant:
        """The tenant, with this written down as the suspension that it is in."""
        seen = replace(tenant.seen, suspension=suspension)
        if seen == tenant.seen:
            return tenant
        await self._store.record(lease, seen)
        now = replace(tenant, seen=seen)
        self._bus.publish(StateChanged(tenant=tenant.name, now=now, before=tenant.seen.state))
        return now

    async def _as_it_is_now(self, tenant: Tenant) -> Tenant:
        async with self._store.look() as tx:
            return await tx.tenant(tenant.name) or tenant

    def _tell_step(self, name: str, step: Step, began: float, problem: str | None = None) -> None:
        self._bus.publish(StepTaken(tenant=name, step=step, seconds=time.monotonic() - began, problem=problem))


@asynccontextmanager
async def _no_longer_than(seconds: float, name: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise FrozenTooLong(f"{name} was frozen for {seconds:g} s, which is as long as it may be.") from None


async def _to_its_end(task: asyncio.Task[float]) -> float:
    """What the task gives, though whoever waits for it is cancelled meanwhile; the cancellation follows."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
