"""The reconciler: looks at one tenant, takes one step, looks again, until nothing is left to do.

It holds the tenant's lease meanwhile, so that no other control plane works on the same one. Whatever it does may be
its last act: the next one to look finds the same two facts, what should be and what is, and decides from them alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from innkeeper.core.boarding import Boarding, NotYet
from innkeeper.core.erasure import Erasure
from innkeeper.core.errors import AgentBusy, Problem, StaleLease
from innkeeper.core.events import Bus, OperationChanged, StateChanged, StepTaken, TenantGone
from innkeeper.core.instance import Instance, State, absent
from innkeeper.core.keeping import kept
from innkeeper.core.ladder import Rung
from innkeeper.core.last_words import last_words
from innkeeper.core.operations import WORKED, Operation, Paging, Trouble, advance, hold_up, is_fatal, waits
from innkeeper.core.plan import CRASHES, Step, decide, frozen, observe
from innkeeper.core.ports import LEASE_FOR, Agent, Clock, Consent, Lease, Prober, Runtime, Store, Units
from innkeeper.core.seating import Seating
from innkeeper.core.suspension import Suspensions
from innkeeper.core.tenant import Seen, Tenant, Wanted

PROBE_EVERY_S = (0.02, 0.1)
"""Shortest and longest pause between two probes; in between a twentieth of the time since the start."""
PROBE_LATE_S = 10.0
CATCH_UP_AGAIN_S = 5.0
PATIENCE = timedelta(seconds=30)
"""So long an order to stop waits for what its tenant is in the middle of."""

Nap = Callable[[float], Awaitable[None]]
"""Wait so many seconds, or until something about the tenant changed."""


class Held(Exception):
    """Another control plane works on the tenant."""


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What was found at one look: what should be, what is, and who waits for it."""

    tenant: Tenant
    instance: Instance
    operations: Sequence[Operation]


class Reconciler:
    """Brings tenants to where they should be, one step at a time."""

    def __init__(
        self,
        *,
        store: Store,
        runtime: Runtime,
        units: Units,
        agents: Mapping[str, Agent],
        prober: Prober,
        seating: Seating,
        bus: Bus,
        clock: Clock,
        suspensions: Suspensions,
        boarding: Boarding,
        erasure: Erasure,
        paging: Callable[[Tenant, Instance], Paging],
        holder: str,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._units = units
        self._agents = agents
        self._prober = prober
        self._seating = seating
        self._bus = bus
        self._clock = clock
        self._suspensions = suspensions
        self._boarding, self._paging = boarding, paging
        self._erasure = erasure
        self._holder = holder

    async def work(self, name: str, nap: Nap, *, failures: int = 0) -> None:
        """Take steps until the tenant is settled. Raises Held, NotYet, and any Problem after writing it down.

        `failures` says how many times in a row this has failed before.
        """
        lease = await self._store.claim(name, holder=self._holder, for_s=LEASE_FOR.total_seconds())
        if lease is None:
            async with self._store.look() as tx:
                if await tx.tenant(name) is None:
                    return
            raise Held(name)
        try:
            async with kept(lease, self._store):
                await self._settle(name, lease, nap, failures)
        finally:
            await self._store.release(lease)

    async def thaw(self, tenant: Tenant, written: Awaitable[Tenant | None]) -> None:
        """Thaw one that is frozen as far as was last seen, without a look first: a request waits for it.

        `written` ends when it is written down that it should be up, and gives the tenant as it is then. What is found
        otherwise is left to `work`, which has to follow: this raises Held, NotYet or a Problem.
        """
        lease = await self._store.claim(tenant.name, holder=self._holder, for_s=LEASE_FOR.total_seconds())
        if lease is None:
            raise Held(tenant.name)
        try:
            async with kept(lease, self._store):
                began = time.monotonic()
                await self._wake_up(tenant, frozen(tenant))
                self._tell_step(tenant.name, Step.UNPAUSE, began)
                now_there = await written
                if now_there is not None and now_there.id == tenant.id:
                    await self._record_up(now_there, lease, State.RUNNING)
        finally:
            await self._store.release(lease)

    async def _settle(self, name: str, lease: Lease, nap: Nap, failures: int) -> None:
        while (look := await self._look(name, lease, failures)) is not None:
            step = decide(look.tenant, look.instance)
            if step is Step.NONE:
                await self._note(lease, look, replace(look.tenant.seen, error=_lasting_error(look.tenant.seen)))
                return
            began = time.monotonic()
            try:
                await self._take(step, look, lease, nap)
            except NotYet as wait:
                await self._tell_why_it_waits(lease, look, wait.why)
                raise
            except Problem as problem:
                await self._trouble(lease, look, problem, failures)
                self._tell_step(name, step, began, problem.code)
                raise
            self._tell_step(name, step, began)

    async def _look(self, name: str, lease: Lease, failures: int) -> _Look | None:
        """See what should be and what is, and write down what moved; None when the tenant is gone."""
        async with self._store.look() as tx:
            tenant = await tx.tenant(name)
            if tenant is None:
                return None
            operations = await tx.operations(tenant=name, open_only=True)
            operations = [each for each in operations if each.kind not in WORKED]
        seen = _Look(tenant=tenant, instance=absent(name), operations=operations)
        try:
            instance = await self._runtime.get(name)
        except Problem as problem:
            await self._trouble(lease, seen, problem, failures)
            raise
        agent = self._agents.get(tenant.spec.agent)
        hopeless = agent.hopeless_exits if agent else frozenset[int]()
        now_seen = observe(tenant.seen, instance, self._clock.now(), hopeless=hopeless)
        return await self._note(lease, replace(seen, instance=instance), now_seen)

    async def _note(self, lease: Lease, look: _Look, seen: Seen) -> _Look:
        """Write down what was seen and how the operations stand, where either moved; and tell everybody."""
        tenant = replace(look.tenant, seen=seen)
        now = self._clock.now()
        paging = self._paging(tenant, look.instance)
        operations = [advance(each, tenant, look.instance, now, paging=paging) for each in look.operations]
        moved = [new for new, old in zip(operations, look.operations, strict=True) if new is not old]
        await self._record(lease, look.tenant, seen, moved)
        return _Look(
            tenant=tenant,
            instance=look.instance,
            operations=[operation for operation in operations if not operation.status.ended],
        )

    async def _record(self, lease: Lease, before: Tenant, seen: Seen, moved: Sequence[Operation]) -> None:
        if seen == before.seen and not moved:
            return
        await self._store.record(lease, seen, moved)
        if seen != before.seen:
            now = replace(before, seen=seen)
            self._bus.publish(StateChanged(tenant=before.name, now=now, before=before.seen.state))
        for operation in moved:
            self._bus.publish(OperationChanged(tenant=before.name, operation=operation))

    async def _trouble(self, lease: Lease, look: _Look, problem: Problem, failures: int) -> None:
        """Write down what went wrong, for the tenant and for each operation that waits."""
        if isinstance(problem, StaleLease):
            return
        trouble = Trouble.of(problem)
        now = self._clock.now()
        fatal = is_fatal(problem, failures)
        moved = [
            new
            for operation in look.operations
            if (new := hold_up(operation, trouble, now, fatal=fatal or now >= operation.deadline)) is not operation
        ]
        async with self._store.look() as tx:  # a step that failed half-way may have written something down
            tenant = await tx.tenant(look.tenant.name) or look.tenant
        seen = tenant.seen
        if not isinstance(problem, AgentBusy):  # which is no trouble of the tenant's, but of whoever wants it to sleep
            seen = replace(seen, error=trouble.message)
        await self._record(lease, tenant, seen, moved)

    async def _tell_why_it_waits(self, lease: Lease, look: _Look, why: str) -> None:
        now = self._clock.now()
        moved = [waits(operation, why, now) for operation in look.operations]
        async with self._store.look() as tx:
            tenant = await tx.tenant(look.tenant.name) or look.tenant  # the step may have written something down
        await self._record(lease, tenant, tenant.seen, moved)

    # --- the steps ----------------------------------------------------------------------------------------------------

    async def _take(self, step: Step, look: _Look, lease: Lease, nap: Nap) -> None:
        tenant, instance = look.tenant, look.instance
        match step:
            case Step.CREATE:
                await self._seating.prepare(tenant)
                await self._runtime.create(await self._seating.blueprint(tenant))
            case Step.START:
                await self._start(tenant, instance)
            case Step.PROBE:
                await self._probe(look, lease, nap)
            case Step.PAUSE:
                await self._pause(look, lease)
            case Step.UNPAUSE:
                await self._unpause(look, lease)
            case Step.RESUME:
                await self._suspensions.end(tenant)
                await self._record_up(tenant, lease, tenant.seen.state)
            case Step.CATCH_UP:
                seen = await self._suspensions.catch_up(tenant)
                await self._record(lease, tenant, seen, ())
                if seen.missed_since is not None or seen.owed_runs:
                    raise NotYet("making up for runs that it missed", again_s=CATCH_UP_AGAIN_S)
            case Step.STOP:
                await self._stop(look, lease)
            case Step.REMOVE:
                await self._runtime.remove(instance)
            case Step.GIVE_UP:
                await self._give_up(look, lease)
            case Step.ERASE:
                await self._erase(look, lease)
            case Step.NONE:  # pragma: no cover - the caller ends before
                return

    def _grace_s(self, tenant: Tenant) -> int:
        agent = self._agents.get(tenant.spec.agent)
        return agent.stop_grace_s if agent else 10

    async def _start(self, tenant: Tenant, instance: Instance) -> None:
        await self._seating.furnish(tenant)
        await self._boarding.to_start(tenant, instance)
        try:
            await self._runtime.start(instance)
        except Problem:
            self._boarding.failed(tenant)
            raise

    async def _probe(self, look: _Look, lease: Lease, nap: Nap) -> None:
        """Ask once; where the answer isn't yes, wait a little before the next look."""
        tenant, instance = look.tenant, look.instance
        agent = self._agents[tenant.spec.agent]
        place = await self._runtime.place(tenant.slot)
        age = self._clock.now() - (instance.started_at or self._clock.now())
        late = age > timedelta(seconds=agent.start_timeout_s)
        if not late:
            self._boarding.is_starting(tenant)
        answer = await self._prober.ask(place.address, agent.probe(tenant.spec))
        if answer is not None and agent.is_ready(*answer) and not instance.stuck:
            ready = replace(tenant.seen, ready=True, state=State.RUNNING, error=None)
            await self._note(lease, look, ready)
            return
        if late:
            # It may never be: whoever waits for their turn to start, and for a worker, doesn't wait for it any more.
            self._boarding.failed(tenant)
            waited = f"It has run for {agent.start_timeout_s} s without becoming ready."
            await self._note(lease, look, replace(tenant.seen, error=waited))
            raise NotYet(waited, again_s=PROBE_LATE_S)
        shortest, longest = PROBE_EVERY_S
        await nap(min(longest, max(shortest, age.total_seconds() / 20)))

    async def _pause(self, look: _Look, lease: Lease) -> None:
        tenant, consent = await self._ask_leave(look, lease, Rung.PAUSED)
        await self._runtime.pause(look.instance)
        if consent.until is not None and self._clock.now() >= consent.until:
            # It had begun to take work again, and may have been frozen in the middle of some.
            await self._runtime.unpause(look.instance)
            raise self._suspensions.objects(tenant, "its leave was over before it was frozen")
        await self._record(lease, tenant, replace(tenant.seen, state=State.PAUSED), ())

    async def _unpause(self, look: _Look, lease: Lease) -> None:
        if look.tenant.target is State.RUNNING:
            await self._wake_up(look.tenant, look.instance)
            await self._record_up(look.tenant, lease, State.RUNNING)
        else:
            await self._runtime.unpause(look.instance)

    async def _wake_up(self, tenant: Tenant, instance: Instance) -> None:
        """Thaw it, with the word already at its door that it may work again: that is the first thing it hears."""
        await self._boarding.to_thaw(tenant)
        telling = asyncio.create_task(self._suspensions.end(tenant), name=f"resume:{tenant.name}")
        try:
            await self._runtime.unpause(instance)
            await telling
        finally:
            telling.cancel()

    async def _record_up(self, tenant: Tenant, lease: Lease, state: State) -> None:
        """At once, not after another look: requests wait for it."""
        await self._record(lease, tenant, replace(tenant.seen, state=state, suspension=None), ())

    async def _stop(self, look: _Look, lease: Lease) -> None:
        """Close the gate first: whoever comes from now on, though it may be wanted up again, waits for the next run."""
        open_still, to_sleep = look.tenant.seen, look.tenant.target is State.STOPPED
        shut = replace(look, tenant=replace(look.tenant, seen=replace(open_still, ready=False)))
        await self._record(lease, look.tenant, shut.tenant.seen, ())
        if to_sleep and self._was_patient(look):
            run_at = await self._suspensions.next_run(shut.tenant, however_soon=True)
            await self._record(lease, shut.tenant, replace(shut.tenant.seen, next_wake=run_at), ())
        elif to_sleep:
            try:
                tenant = (await self._ask_leave(shut, lease, Rung.STOPPED))[0]
            except AgentBusy:
                await self._reopen(shut.tenant, lease, open_still)
                raise
            await self._record(lease, shut.tenant, tenant.seen, ())  # whoever reopens it has to end its suspension
        if to_sleep and await self._is_needed_again(look.tenant):
            await self._reopen(shut.tenant, lease, open_still)
            return
        await self._runtime.stop(look.instance, grace_s=self._grace_s(look.tenant))

    async def _reopen(self, shut: Tenant, lease: Lease, as_before: Seen) -> None:
        """It goes on after all, as ready as it was; what was said to it meanwhile stays written down."""
        async with self._store.look() as tx:
            tenant = await tx.tenant(shut.name) or shut
        await self._record(lease, tenant, replace(tenant.seen, ready=as_before.ready), ())

    async def _is_needed_again(self, tenant: Tenant) -> bool:
        """Whether somebody came since it was looked at: it is kept up for them, rather than started anew."""
        async with self._store.look() as tx:
            now = await tx.tenant(tenant.name)
        return now is not None and now.id == tenant.id and now.target is State.RUNNING

    async def _ask_leave(self, look: _Look, lease: Lease, rung: Rung) -> tuple[Tenant, Consent]:
        """The tenant as it is written down with its agent's consent to sleep on that rung, or AgentBusy.

        That it is being asked is written down first, so that whoever comes after us tells it to go on.
        """
        tenant = look.tenant
        await self._suspensions.check_in_flight(tenant)
        seen = replace(tenant.seen, next_wake=await self._suspensions.next_run(tenant))
        asked = replace(tenant, seen=replace(seen, suspension=self._suspensions.asked(tenant, rung)))
        await self._record(lease, tenant, asked.seen, ())
        consent = await self._suspensions.ask(asked, rung)
        answered = replace(asked, seen=replace(seen, suspension=consent.suspension))
        if consent.objection is not None:
            await self._record(lease, asked, answered.seen, ())
            raise self._suspensions.objects(tenant, consent.objection)
        self._suspensions.agrees(tenant)
        return answered, consent

    def _was_patient(self, look: _Look) -> bool:
        """Whether an order has waited for long enough: work in flight may not put it off for ever."""
        orders = [operation.created_at for operation in look.operations]
        if not orders:
            return look.tenant.wanted is not Wanted.AUTO
        return self._clock.now() - min(orders) > PATIENCE

    async def _give_up(self, look: _Look, lease: Lease) -> None:
        """Say why, then stop it: Docker would restart it for ever."""
        lines = await last_words(self._runtime, look.instance)
        code = look.instance.exit_code
        ended = "ran out of memory" if look.instance.out_of_memory else f"ended with {code}" if code else "ended"
        error = f"It crashed {CRASHES} times within ten minutes; at last it {ended}. Its last lines:\n{lines}"
        if look.instance.exists:
            await self._runtime.stop(look.instance, grace_s=self._grace_s(look.tenant))
        seen = replace(look.tenant.seen, state=State.FAILED, ready=False, error=error)
        await self._note(lease, look, seen)

    async def _erase(self, look: _Look, lease: Lease) -> None:
        """The instance is gone for sure: now the rest of the tenant."""
        tenant = look.tenant
        ended = await self._erasure.end(tenant, lease, look.operations)
        self._bus.publish(TenantGone(tenant=tenant.name, tenant_id=tenant.id))
        for operation in ended:
            self._bus.publish(OperationChanged(tenant=tenant.name, operation=operation))

    def _tell_step(self, name: str, step: Step, began: float, problem: str | None = None) -> None:
        self._bus.publish(StepTaken(tenant=name, step=step, seconds=time.monotonic() - began, problem=problem))


def _lasting_error(seen: Seen) -> str | None:
    return seen.error if seen.state is State.FAILED else None
