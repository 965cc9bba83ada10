"""Sleep and wake as a state machine: whatever comes at once, whoever dies, nothing is lost and all converges.

Hypothesis drives a whole control plane (the real loops, on virtual time) over the memory runtime through requests,
orders, traffic, faults, deaths of the process, hands that meddle and clocks that jump.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import looptime
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from innkeeper.core.access import SYSTEM
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import Problem
from innkeeper.core.events import Event, StepTaken
from innkeeper.core.instance import Instance, State
from innkeeper.core.ladder import Rung
from innkeeper.core.plan import Step, decide
from innkeeper.core.reconcile import Held
from innkeeper.core.specs import LimitsPatch, SpecPatch
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.loops.dormitory import SleepSettings
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.waker import Waker
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House

NAMES = ("alice", "bob")
POLICY = SpecPatch(sleep={"pause_after_s": 60, "page_after_s": 120, "stop_after_s": 300})
DEADLINE_S = 30.0
STEPS_AT_ONCE = 200
"""Far more than two tenants ever need in a moment."""
WORK = (Call.GET, Call.CREATE, Call.START, Call.STOP, Call.PAUSE, Call.UNPAUSE, Call.REMOVE, Call.PAGE_OUT, Call.USAGE)
ACTIONS = (Call.PAUSE, Call.UNPAUSE, Call.START, Call.STOP, Call.PAGE_OUT)
names = st.sampled_from(NAMES)
T = TypeVar("T")


class Dead(BaseException):
    """What a process that was killed does from then on: nothing."""


class Mortal:
    """A store or a runtime as one process sees it: once that is dead, nothing more gets through."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        if self.dead:
            raise Dead
        return getattr(self._real, name)


@dataclass
class Request:
    """One request that waits at the gate; a gate that comes back is asked again for it."""

    name: str
    task: asyncio.Task[Tenant]
    outcome: str | None = None


@dataclass
class Plane:
    """One process."""

    stack: AsyncExitStack
    supervisor: Supervisor
    mortals: list[Mortal] = field(default_factory=list)


class SleepMachine(RuleBasedStateMachine):
    """The rules: what may happen. The invariants stand in `check` and `teardown`."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop(start=0, _enabled=True)
        self.house = House()
        self.store, self.runtime = self.house.store, self.house.runtime
        self.house.sleep_settings = SleepSettings(sweep_s=15, reserve_mb=0, boost_cpus=2, starts_at_once=1)
        self.lives = 0
        self.requests: list[Request] = []
        self.last_s = 0.0
        self.steps = (0.0, 0)

    # --- the world ----------------------------------------------------------------------------------------------------

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def pass_time(self, seconds: float) -> None:
        until = self.loop.time() + seconds
        while self.loop.time() < until:
            await asyncio.sleep(min(0.5, until - self.loop.time()))
            self.house.clock.turn(self.loop.time() - self.last_s)
            self.last_s = self.loop.time()

    async def live(self) -> None:
        """A new process; all that the last one knew is gone."""
        self.lives += 1
        house, mortals = self.house, [Mortal(self.store), Mortal(self.runtime)]
        house.store, house.runtime = mortals  # type: ignore[assignment]
        house.start(f"life-{self.lives}")
        house.bus.on_event(self._count)
        await house.directory.load()
        waker = Waker(directory=house.directory, rungs=house.rungs, reconciler=house.reconciler, queue=house.queue)
        house.activator._rouse = waker.rouse
        loops = house.loops(tick_s=10, workers=3)
        self.plane = Plane(stack=AsyncExitStack(), supervisor=Supervisor(), mortals=mortals)
        loops.start(self.plane.supervisor)
        house.dormitory.start(self.plane.supervisor)
        await self.plane.stack.enter_async_context(self.plane.supervisor.running())
        for request in self.requests:
            if request.outcome is None:
                request.task = self.ask(request.name)

    def _count(self, event: Event) -> None:
        """A step that changes nothing, taken again and again, is an end of everything else."""
        if isinstance(event, StepTaken):
            moment = self.loop.time()
            self.steps = (moment, self.steps[1] + 1) if self.steps[0] == moment else (moment, 1)
            assert self.steps[1] < STEPS_AT_ONCE, f"{event.step} of {event.tenant} goes on and on"
        self.house.happened.clear()

    async def die(self) -> None:
        """kill -9: nothing is given back, no lease, no place in a line."""
        for mortal in self.plane.mortals:
            mortal.dead = True
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        self.house.store, self.house.runtime = self.store, self.runtime

    def ask(self, name: str) -> asyncio.Task[Tenant]:
        ready = self.house.activator.ready(name, deadline_s=DEADLINE_S)
        return self.loop.create_task(ready, name=f"request:{name}")

    async def tenants(self) -> dict[str, Tenant]:
        async with self.store.look() as tx:
            return {tenant.name: tenant for tenant in await tx.tenants()}

    async def order(self, work: Coroutine[Any, Any, object]) -> None:
        """Operators may be refused; that is an answer too."""
        with suppress(Problem):
            await work

    # --- the rules ----------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        async def begin() -> None:
            await self.live()
            await self.house.record_release()
            for slot, name in enumerate(NAMES):
                await self.house.create(name, POLICY)
                self.house.addresses[(await self.runtime.place(slot)).address] = name
            await self.pass_time(3)

        self.do(begin())

    @rule(seconds=st.sampled_from((0.5, 3, 20, 70, 130, 310)))
    def time_passes(self, seconds: float) -> None:
        self.do(self.pass_time(seconds))

    @rule(name=names, count=st.integers(1, 5))
    def requests_come(self, name: str, count: int) -> None:
        async def come() -> None:
            for _ in range(count):
                if self.house.directory.tenant(name) is not None:
                    self.house.directory.touch(name, self.house.clock.now())
                    self.requests.append(Request(name=name, task=self.ask(name)))
            await asyncio.sleep(0)

        self.do(come())

    @rule(name=names, tier=st.sampled_from(("pause", "page", "stop")))
    def ordered_to_sleep(self, name: str, tier: str) -> None:
        self.do(self.order(self.house.control.sleep(name, tier, actor=SYSTEM)))

    @rule(name=names)
    def ordered_to_wake(self, name: str) -> None:
        self.do(self.order(self.house.control.wake(name, actor=SYSTEM)))

    @rule(name=names)
    def restarted(self, name: str) -> None:
        self.do(self.order(self.house.control.restart(name, actor=SYSTEM)))

    @rule(name=names, wanted=st.sampled_from((Wanted.AUTO, Wanted.AWAKE, Wanted.ASLEEP)))
    def wanted_otherwise(self, name: str, wanted: Wanted) -> None:
        self.do(self.order(self.house.control.update(name, SpecPatch(), wanted=wanted, actor=SYSTEM)))

    @rule(name=names, memory_mb=st.sampled_from((128, 256)))
    def respecified(self, name: str, memory_mb: int) -> None:
        patch = SpecPatch(limits=LimitsPatch(memory_mb=memory_mb))
        self.do(self.order(self.house.control.update(name, patch, actor=SYSTEM)))

    @rule(name=names, purge=st.booleans())
    def deleted_and_made_anew(self, name: str, purge: bool) -> None:
        async def again() -> None:
            await self.order(self.house.control.delete(name, purge=purge, actor=SYSTEM))
            await self.pass_time(5)
            create = self.house.control.create(name, "plain", POLICY, actor=SYSTEM, adopt=True)
            await self.order(create)

        self.do(again())

    @rule(name=names, begins=st.booleans())
    def a_model_call(self, name: str, begins: bool) -> None:
        async def call() -> None:
            instance = self.runtime._instances.get(name)
            running = instance is not None and instance.state is State.RUNNING
            self.house.calls[name] = int(begins and running)

        self.do(call())

    @rule(name=names, moves=st.booleans())
    def bytes_move(self, name: str, moves: bool) -> None:
        async def move() -> None:
            for address, at in self.house.addresses.items():
                if at == name:
                    (self.house.wire.bytes_at.add if moves else self.house.wire.bytes_at.discard)(address)

        self.do(move())

    @rule(can=st.booleans(), says=st.sampled_from((b"", b"it is busy")), leave_s=st.sampled_from((None, 0, 120)))
    def the_agents_have_a_say(self, can: bool, says: bytes, leave_s: int | None) -> None:
        agent, now = self.house.agent, self.house.clock.now()
        agent.can_be_asked = can
        agent.leave_until = None if leave_s is None else now + timedelta(seconds=leave_s)
        self.house.prober.answer = (200, says)

    @rule(in_s=st.sampled_from((None, 30, 400)))
    def the_agents_have_plans(self, in_s: int | None) -> None:
        now = self.house.clock.now()
        self.house.agent.runs_at = None if in_s is None else now + timedelta(seconds=in_s)

    @rule(available_mb=st.sampled_from((0, 100, 60_000)))
    def memory_comes_and_goes(self, available_mb: int) -> None:
        found = self.house.memory.found
        self.house.memory.found = type(found)(**{**vars(found), "available_mb": available_mb})

    @rule(by_s=st.sampled_from((-3600, -5, 5, 3600)))
    def the_clock_jumps(self, by_s: int) -> None:
        self.house.clock.turn(by_s)

    @rule(call=st.sampled_from(WORK), mishap=st.sampled_from((Mishap.BEFORE, Mishap.AFTER, Mishap.VANISH)))
    def something_goes_wrong(self, call: Call, mishap: Mishap) -> None:
        self.runtime.faults[call].append(Fault(mishap=mishap))

    @rule(
        call=st.sampled_from((Call.PAUSE, Call.UNPAUSE, Call.START, Call.STOP, Call.PAGE_OUT)),
        seconds=st.integers(1, 60),
    )
    def something_hangs(self, call: Call, seconds: int) -> None:
        fault = Fault(mishap=Mishap.HANG)
        self.runtime.faults[call].append(fault)
        self.do(self.pass_time(seconds))
        fault.release.set()

    @rule(down=st.booleans())
    def the_runtime_goes_and_comes(self, down: bool) -> None:
        async def turn() -> None:
            self.runtime.down = down

        self.do(turn())

    @rule(name=names, deed=st.sampled_from(("stop", "pause", "unpause", "remove", "crash")))
    def somebody_meddles(self, name: str, deed: str) -> None:
        async def meddle() -> None:
            state = self.runtime._instances[name].state if name in self.runtime._instances else State.ABSENT
            match deed, state:
                case "stop", State.RUNNING | State.PAUSED:
                    self.runtime.by_hand_stop(name)
                case "pause", State.RUNNING:
                    self.runtime.by_hand_pause(name)
                case "unpause", State.PAUSED:
                    self.runtime.by_hand_unpause(name)
                case "remove", _ if state is not State.ABSENT:
                    self.runtime.by_hand_remove(name)
                case "crash", State.RUNNING:
                    self.runtime.crash(name)

        self.do(meddle())

    @rule(name=names)
    def a_rival_works_on_it(self, name: str) -> None:
        async def work() -> None:
            with suppress(Problem, Held, NotYet):
                await self.house.make_reconciler("rival").work(name, self.house.nap)

        self.do(self._bounded(work()))

    async def _bounded(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        await self.pass_time(2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @rule(name=names, tier=st.sampled_from(("pause", "stop", None)))
    def killed_as_soon_as_it_has_an_order(self, name: str, tier: str | None) -> None:
        async def kill() -> None:
            control = self.house.control
            wish = control.sleep(name, tier, actor=SYSTEM) if tier else control.wake(name, actor=SYSTEM)
            await self.order(wish)
            await self.die()
            await self.live()

        self.do(kill())

    @rule()
    def the_process_is_killed(self) -> None:
        async def kill() -> None:
            await self.die()
            await self.live()

        self.do(kill())

    # --- what always holds --------------------------------------------------------------------------------------------

    @rule()
    def check(self) -> None:
        """Whoever works isn't asleep, a little after everything has been put right."""
        self.do(self._heal())
        tenants = self.do(self.tenants())
        for name, tenant in tenants.items():
            if self.house.calls[name] and tenant.wanted in (Wanted.AUTO, Wanted.AWAKE):
                instance = self.runtime._instances.get(name)
                assert instance is None or instance.state is not State.PAUSED, f"{name} is frozen over a model call"
        self._nothing_was_broken()

    async def _heal(self) -> None:
        for faults in self.runtime.faults.values():
            for fault in faults:
                fault.release.set()
            faults.clear()
        self.runtime.down = False
        self.house.memory.found = type(self.house.memory.found)(
            total_mb=64_000, available_mb=60_000, swap_mb=64_000, swap_free_mb=64_000
        )
        await self.pass_time(75)

    def _nothing_was_broken(self) -> None:
        assert not self.runtime.violations, self.runtime.violations
        for request in self.requests:
            if request.outcome is None and request.task.done():
                error = request.task.exception()
                assert error is None or isinstance(error, Problem), error
                request.outcome = "ready" if error is None else type(error).__name__
        for loop in self.plane.supervisor.loops.values():
            assert loop.restarts == 0, f"{loop.name}: {loop.last_error}"

    def teardown(self) -> None:
        try:
            self.do(self._finish())
        finally:
            self.do(self.die())
            self.loop.close()

    async def _finish(self) -> None:
        if not self.lives:
            return
        house = self.house
        house.calls.clear()
        house.wire.bytes_at.clear()
        house.agent.leave_until = house.agent.runs_at = None
        house.prober.answer = (200, b"")
        await self._heal()
        await self.pass_time(DEADLINE_S + 60)
        self._nothing_was_broken()
        assert all(request.outcome is not None for request in self.requests), (
            "a request is neither answered nor refused"
        )
        for _ in range(10):  # a sweep may have sent somebody further down this very moment
            unsettled = [name for name, tenant in (await self.tenants()).items() if await self._has_a_step(tenant)]
            if not unsettled:
                break
            await self.pass_time(1)
        assert not unsettled
        for name, tenant in (await self.tenants()).items():
            self._converged(tenant, await self.runtime.get(name))
        async with self.store.look() as tx:
            left = [operation for operation in await tx.operations() if not operation.status.ended]
        assert left == []
        await self._everybody_can_be_reached()

    async def _has_a_step(self, tenant: Tenant) -> bool:
        return decide(tenant, await self.runtime.get(tenant.name)) is not Step.NONE

    def _converged(self, tenant: Tenant, instance: Instance) -> None:
        if tenant.seen.state is State.FAILED:
            assert instance.state is not State.RUNNING
            return
        assert tenant.seen.state is (State.RUNNING if instance.state is State.RUNNING else instance.state)
        match tenant.target:
            case State.RUNNING:
                assert (instance.state, tenant.seen.ready) == (State.RUNNING, True)
                assert tenant.seen.suspension is None
            case State.PAUSED:
                assert instance.state is not State.RUNNING
            case State.STOPPED:
                assert instance.state in (State.STOPPED, State.ABSENT)

    async def _everybody_can_be_reached(self) -> None:
        for name, tenant in (await self.tenants()).items():
            if tenant.wanted in (Wanted.AUTO, Wanted.AWAKE) and tenant.seen.state is not State.FAILED:
                request = self.ask(name)
                await self.pass_time(20)
                assert request.done(), f"{name} doesn't come up"
                assert (await request).seen.ready
                assert (await self.tenants())[name].rung is Rung.RUNNING


SleepMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("INNKEEPER_TEST_SLEEPS", "25")),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestSleep = SleepMachine.TestCase
