"""The dormitory: idle means idle, and whoever is needed wakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import AgentBusy, Conflict, NoCapacity, RuntimeFault, StoreUnavailable
from innkeeper.core.events import CapacityShort
from innkeeper.core.instance import Instance, State, Usage
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import MemoryNow
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Wanted
from innkeeper.loops.dormitory import SleepSettings
from innkeeper.loops.supervise import Supervisor
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House

pytestmark = pytest.mark.looptime

POLICY = SpecPatch(sleep={"pause_after_s": 60, "page_after_s": 200, "stop_after_s": 600})
SWEEP_S = 15.0
MB = 1 << 20


class LoopClock:
    """The wall clock moves with the loop's virtual time."""

    def __init__(self, house: House) -> None:
        self._house, self._loop = house, asyncio.get_running_loop()
        self._last = self._loop.time()

    def follow(self) -> None:
        now = self._loop.time()
        self._house.clock.turn(now - self._last)
        self._last = now


class Inn:
    """A house whose loops run."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.wire = house.wire
        self.calls = house.calls
        self.clock = LoopClock(house)

    async def pass_time(self, seconds: float) -> None:
        """Let everything run."""
        for _ in range(round(seconds * 2)):
            await asyncio.sleep(0.5)
            self.clock.follow()

    async def state(self, name: str = "alice") -> State:
        return (await self.house.tenant(name)).seen.state


@asynccontextmanager
async def open_inn() -> AsyncIterator[Inn]:
    house = House()
    house.sleep_settings = SleepSettings(sweep_s=SWEEP_S, reserve_mb=0, boost_cpus=0, trim_after=None)
    house.start()
    made = Inn(house)
    loops = house.loops()
    supervisor = Supervisor()
    loops.start(supervisor)
    house.dormitory.start(supervisor)
    async with supervisor.running():
        await house.create(patch=POLICY)
        house.addresses[(await house.runtime.place(0)).address] = "alice"
        await made.pass_time(1)
        assert await made.state() is State.RUNNING
        yield made
    assert not any(loop.restarts for loop in supervisor.loops.values())
    assert not house.runtime.violations


def in_an_inn(test: Callable[[Inn], Coroutine[None, None, None]]) -> Callable[[], Coroutine[None, None, None]]:
    """Not a fixture: the loops must begin on the same virtual time as the test."""

    async def run() -> None:
        async with open_inn() as inn:
            await test(inn)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_an_inn
async def test_an_idle_tenant_goes_down_the_ladder_and_a_request_brings_it_back(inn: Inn) -> None:
    await inn.pass_time(50)
    assert await inn.state() is State.RUNNING
    await inn.pass_time(60)
    assert await inn.state() is State.PAUSED
    ready = await inn.house.activator.ready("alice", deadline_s=5)
    assert ready.seen.state is State.RUNNING
    await inn.pass_time(120)
    assert await inn.state() is State.PAUSED
    await inn.pass_time(600)
    assert await inn.state() is State.STOPPED
    await inn.house.activator.ready("alice", deadline_s=5)
    assert inn.house.runtime.calls[Call.START] == 2


@in_an_inn
async def test_bytes_on_a_connection_keep_it_awake(inn: Inn) -> None:
    inn.wire.bytes_at.add((await inn.house.runtime.place(0)).address)
    await inn.pass_time(300)
    assert await inn.state() is State.RUNNING
    inn.wire.bytes_at.clear()
    await inn.pass_time(120)
    assert await inn.state() is State.PAUSED


@in_an_inn
async def test_bytes_for_a_sleeper_wake_it_within_a_second_or_two(inn: Inn) -> None:
    await inn.pass_time(120)
    assert await inn.state() is State.PAUSED
    inn.wire.bytes_at.add((await inn.house.runtime.place(0)).address)
    await inn.pass_time(2)
    assert await inn.state() is State.RUNNING


@in_an_inn
async def test_a_model_call_in_flight_keeps_it_awake(inn: Inn) -> None:
    inn.calls["alice"] = 1
    await inn.pass_time(300)
    assert await inn.state() is State.RUNNING


@in_an_inn
async def test_an_agent_that_computes_is_held_awake_with_the_reason(inn: Inn) -> None:
    house = inn.house

    async def usage(instance: object) -> Usage:
        seconds = asyncio.get_running_loop().time() / 2
        return Usage(memory_bytes=1, rss_bytes=1, swap_bytes=0, cpu_s=seconds, pids=1)

    real = house.runtime.usage
    house.runtime.usage = usage  # type: ignore[method-assign]
    await inn.pass_time(200)
    assert await inn.state() is State.RUNNING
    (hold,) = house.holds.of("alice")
    assert (hold.kind, hold.why) == ("processor", "it uses 50% of a core")
    house.runtime.usage = real  # type: ignore[method-assign]
    await inn.pass_time(120)
    assert await inn.state() is State.PAUSED
    assert house.holds.of("alice") == []


@in_an_inn
async def test_an_agent_that_objects_isnt_frozen_and_says_why(inn: Inn) -> None:
    house = inn.house
    house.agent.can_be_asked = True
    house.prober.answer = (200, b"a cron job runs")
    await inn.pass_time(120)
    assert house.runtime.calls[Call.PAUSE] == 0
    (hold,) = house.holds.of("alice")
    assert (hold.kind, hold.why) == ("agent", "a cron job runs")
    await inn.pass_time(60)
    assert house.holds.of("alice")[0].since == hold.since, "the same reason is the same hold"
    house.prober.answer = (200, b"")
    await inn.pass_time(60)
    assert await inn.state() is State.PAUSED
    assert house.holds.of("alice") == []


@in_an_inn
async def test_an_ordered_sleep_is_held_up_by_a_busy_agent_and_says_so(inn: Inn) -> None:
    house = inn.house
    house.agent.can_be_asked = True
    house.prober.answer = (200, b"it answers somebody")
    _, operation = await house.control.sleep("alice", "pause", actor=SYSTEM)
    await inn.pass_time(5)
    held_up = await house.control.operation(operation.id)
    assert held_up.error is not None
    assert (held_up.status, held_up.error.code) == ("running", AgentBusy.code)
    house.prober.answer = (200, b"")
    await inn.pass_time(30)
    assert (await house.control.operation(operation.id)).status == "done"


@in_an_inn
async def test_who_is_always_awake_never_sleeps(inn: Inn) -> None:
    await inn.house.control.update("alice", SpecPatch(), wanted=Wanted.AWAKE, actor=SYSTEM)
    await inn.pass_time(3000)
    assert await inn.state() is State.RUNNING


@in_an_inn
async def test_a_request_between_decision_and_freeze_wakes_it_again(inn: Inn) -> None:
    """The gate let it pass when the tenant was still open; the freeze must not swallow it."""
    await inn.pass_time(50)
    house = inn.house
    real = house.rungs.rest

    async def rest(name: str, rung: Rung) -> bool:
        house.clock.turn(0.001)
        house.directory.touch(name, house.clock.now())
        house.rungs.rest = real  # type: ignore[method-assign]
        return await real(name, rung)

    house.rungs.rest = rest  # type: ignore[method-assign]
    await inn.pass_time(25)
    assert await inn.state() is State.RUNNING


@in_an_inn
async def test_a_sleeper_is_up_in_time_for_work_of_its_own(inn: Inn) -> None:
    house = inn.house
    house.agent.runs_at = house.clock.now() + timedelta(seconds=300)
    await inn.pass_time(120)
    tenant = await house.tenant()
    assert (tenant.seen.state, tenant.seen.next_wake) == (State.PAUSED, house.agent.runs_at)
    await inn.pass_time(170)
    assert await inn.state() is State.PAUSED
    house.agent.runs_at = None
    await inn.pass_time(12)
    assert await inn.state() is State.RUNNING
    assert (await house.tenant()).seen.next_wake is None
    await inn.pass_time(120)
    assert await inn.state() is State.PAUSED


@in_an_inn
async def test_a_stopped_one_is_up_in_time_too(inn: Inn) -> None:
    house = inn.house
    house.agent.runs_at = house.clock.now() + timedelta(seconds=1000)
    await inn.pass_time(900)
    tenant = await house.tenant()
    assert (tenant.seen.state, tenant.seen.next_wake) == (State.STOPPED, house.agent.runs_at)
    await inn.pass_time(97)
    assert await inn.state() is State.STOPPED, "it takes no time to start, which was measured"
    await inn.pass_time(3)
    assert await inn.state() is State.RUNNING


@in_an_inn
async def test_a_sleepers_memory_goes_to_swap_once_each_sleep(inn: Inn) -> None:
    calls = inn.house.runtime.calls
    await inn.pass_time(180)
    assert calls[Call.PAGE_OUT] == 0
    await inn.pass_time(60)
    assert calls[Call.PAGE_OUT] == 1
    await inn.pass_time(120)
    assert calls[Call.PAGE_OUT] == 1
    await inn.house.activator.ready("alice", deadline_s=5)
    await inn.pass_time(300)
    assert calls[Call.PAGE_OUT] == 2


@in_an_inn
async def test_who_fetches_messages_itself_is_held_awake_unless_it_is_ordered_to_sleep(inn: Inn) -> None:
    house = inn.house
    house.agent.channels = ("telegram", "discord")
    await inn.pass_time(300)
    assert await inn.state() is State.RUNNING
    (hold,) = house.holds.of("alice")
    assert (hold.kind, hold.why) == ("channel", "it fetches messages itself: telegram, discord")
    await house.control.sleep("alice", "pause", actor=SYSTEM)
    await inn.pass_time(2)
    assert await inn.state() is State.PAUSED
    await house.activator.ready("alice", deadline_s=5)
    house.agent.channels = ()
    await inn.pass_time(150)
    assert await inn.state() is State.PAUSED
    assert house.holds.of("alice") == []


@in_an_inn
async def test_one_that_makes_trouble_holds_up_no_other(inn: Inn) -> None:
    house = inn.house
    await house.create("bob", patch=POLICY)
    await inn.pass_time(5)
    real = house.runtime.usage

    async def usage(instance: Instance) -> Usage:
        if instance.tenant == "alice":
            raise RuntimeFault("the kernel won't say")
        return await real(instance)

    house.runtime.usage = usage  # type: ignore[method-assign]
    await inn.pass_time(150)
    assert (await inn.state("alice"), await inn.state("bob")) == (State.RUNNING, State.PAUSED)


def office_hours(house: House, *, in_s: float) -> str:
    """A schedule that opens so soon, for an hour."""
    opens = house.clock.now() + timedelta(seconds=in_s)
    return f"awake {opens:%H:%M}-{opens + timedelta(hours=1):%H:%M} UTC"


@in_an_inn
async def test_a_schedule_wakes_it_in_time_and_keeps_it_awake_until_it_closes(inn: Inn) -> None:
    house = inn.house
    line = office_hours(house, in_s=1200)
    await house.control.update("alice", SpecPatch(sleep={"schedule": [line]}), actor=SYSTEM)
    await inn.pass_time(900)
    assert await inn.state() is State.STOPPED
    await inn.pass_time(320)
    assert await inn.state() is State.RUNNING
    (hold,) = house.holds.of("alice")
    assert (hold.kind, hold.why.split("`")[1]) == ("schedule", line)
    await inn.pass_time(3000)
    assert await inn.state() is State.RUNNING
    await inn.pass_time(700)
    assert await inn.state() is not State.RUNNING
    assert house.holds.of("alice") == []


@in_an_inn
async def test_a_run_that_was_missed_is_made_up_for_at_once_or_not_at_all(inn: Inn) -> None:
    house = inn.house
    house.agent.runs_at = house.clock.now() + timedelta(seconds=3000)
    await house.create("bob", patch=POLICY)
    await house.control.update("bob", SpecPatch(sleep={"missed_runs": "skip"}), actor=SYSTEM)
    await inn.pass_time(900)
    assert (await inn.state("alice"), await inn.state("bob")) == (State.STOPPED, State.STOPPED)
    house.clock.turn(5000)  # nobody was there
    for name in ("alice", "bob"):
        tenant = house.directory.tenant(name)
        assert tenant is not None
        house.dormitory.watcher._note(tenant)  # as a control plane does that has just come
    await inn.pass_time(3)
    assert (await inn.state("alice"), await inn.state("bob")) == (State.RUNNING, State.STOPPED)


@in_an_inn
async def test_an_answer_that_is_awaited_keeps_it_awake_and_wakes_one_found_asleep_over_it(inn: Inn) -> None:
    house = inn.house
    (address,) = house.addresses
    house.wire.awaited.add(address)
    await inn.pass_time(200)
    assert await inn.state() is State.RUNNING
    (hold,) = house.holds.of("alice")
    assert hold.kind == "traffic"
    house.wire.awaited.clear()
    await inn.pass_time(120)
    assert await inn.state() is State.PAUSED
    house.wire.awaited.add(address)
    house.dormitory.watcher._looked = False  # a control plane that has just come
    await inn.pass_time(3)
    assert await inn.state() is State.RUNNING


@in_an_inn
async def test_an_order_to_sleep_waits_for_the_stream_and_then_it_sleeps(inn: Inn) -> None:
    house = inn.house
    (address,) = house.addresses
    house.wire.bytes_at.add(address)
    await inn.pass_time(2)
    _, operation = await house.control.sleep("alice", "pause", actor=SYSTEM)
    await inn.pass_time(20)
    held_up = await house.control.operation(operation.id)
    assert await inn.state() is State.RUNNING
    assert held_up.error is not None
    assert held_up.error.code == "agent_busy"
    house.wire.bytes_at.clear()
    await inn.pass_time(30)
    assert (await house.control.operation(operation.id)).status == "done"
    assert await inn.state() is State.PAUSED


@in_an_inn
async def test_idleness_that_turns_out_wrong_is_forgotten_and_the_whole_window_counts_again(inn: Inn) -> None:
    house = inn.house
    (address,) = house.addresses
    real = house.runtime.usage

    async def usage(instance: Instance) -> Usage:
        house.wire.awaited.add(address)  # somebody comes while it is judged, past the gate
        house.runtime.usage = real  # type: ignore[method-assign]
        return await real(instance)

    house.runtime.usage = usage  # type: ignore[method-assign]
    await inn.pass_time(100)
    assert await inn.state() is State.RUNNING
    assert (await house.tenant()).rung is Rung.RUNNING
    house.wire.awaited.clear()
    await inn.pass_time(50)
    assert await inn.state() is State.RUNNING


@in_an_inn
async def test_after_a_restart_of_ours_nothing_is_known_of_the_time_before(inn: Inn) -> None:
    house = inn.house
    house.dormitory.sweeper._watched_since = house.clock.now() + timedelta(seconds=100)
    await inn.pass_time(150)
    assert await inn.state() is State.RUNNING
    await inn.pass_time(40)
    assert await inn.state() is State.PAUSED


@in_an_inn
async def test_who_is_needed_before_it_slept_isnt_told_that_it_sleeps(inn: Inn) -> None:
    house = inn.house
    house.calls["alice"] = 1
    await inn.pass_time(2)
    _, operation = await house.control.sleep("alice", "stop", actor=SYSTEM)
    await inn.pass_time(2)
    await house.activator.ready("alice", deadline_s=5)
    await inn.pass_time(2)
    ended = await house.control.operation(operation.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "superseded")


@in_an_inn
async def test_who_has_no_room_sleeps_on_and_whoever_asked_hears_of_it(inn: Inn) -> None:
    house = inn.house
    await inn.pass_time(900)
    assert await inn.state() is State.STOPPED
    house.memory.found = replace(house.memory.found, available_mb=1)
    with pytest.raises(NoCapacity):
        await house.activator.ready("alice", deadline_s=30)
    await inn.pass_time(2)
    assert (await house.tenant()).rung is Rung.STOPPED
    assert house.runtime.calls[Call.START] == 1
    house.memory.found = replace(house.memory.found, available_mb=60_000)
    await house.activator.ready("alice", deadline_s=30)


@in_an_inn
async def test_sleepers_make_room_for_whoever_is_needed(inn: Inn) -> None:
    house = inn.house
    await house.create("bob", patch=POLICY)
    await inn.pass_time(900)
    for name in ("alice", "bob"):
        assert await inn.state(name) is State.STOPPED
    await house.activator.ready("bob", deadline_s=5)
    await inn.pass_time(100)
    assert await inn.state("bob") is State.PAUSED
    plenty = house.memory.found

    async def what_is_left() -> MemoryNow:
        taken = [await house.runtime.usage(each) for each in await house.runtime.all() if each.state is State.PAUSED]
        return replace(plenty, available_mb=84 - sum(usage.rss_bytes for usage in taken) // MB)

    house.memory.now = what_is_left  # type: ignore[method-assign]  # 20 MB, and alice needs 64
    waking = asyncio.create_task(house.activator.ready("alice", deadline_s=30))
    await inn.pass_time(8)
    assert (await waking).seen.ready
    assert (await house.tenant("bob")).rung is Rung.PAGED


@in_an_inn
async def test_an_order_to_sleep_waits_for_the_model_call_and_then_it_sleeps(inn: Inn) -> None:
    house = inn.house
    inn.calls["alice"] = 1
    await inn.pass_time(2)
    _, operation = await house.control.sleep("alice", "pause", actor=SYSTEM)
    await inn.pass_time(20)
    held_up = await house.control.operation(operation.id)
    assert (await inn.state(), held_up.status) == (State.RUNNING, "running")
    inn.calls["alice"] = 0
    await inn.pass_time(30)
    assert (await house.control.operation(operation.id)).status == "done"
    assert await inn.state() is State.PAUSED


@in_an_inn
async def test_a_chat_over_our_own_connection_keeps_it_awake_too(inn: Inn) -> None:
    with inn.house.dormitory.working("alice"):
        await inn.pass_time(300)
        assert await inn.state() is State.RUNNING
    await inn.pass_time(120)
    assert await inn.state() is State.PAUSED


@in_an_inn
async def test_a_knock_is_not_lost_though_the_store_stumbles(inn: Inn) -> None:
    house = inn.house
    await inn.pass_time(120)
    assert await inn.state() is State.PAUSED
    rouse, failures = house.rungs.rouse, iter([StoreUnavailable("the database is locked")])

    async def stumbling(name: str) -> bool:
        if (failure := next(failures, None)) is not None:
            raise failure
        return await rouse(name)

    house.dormitory.watcher._rungs.rouse = stumbling  # type: ignore[method-assign]
    (address,) = house.addresses
    house.wire.bytes_at.add(address)
    await inn.pass_time(1)
    house.wire.bytes_at.clear()
    await inn.pass_time(40)
    assert (await house.tenant()).rung is Rung.RUNNING


@in_an_inn
async def test_a_sleeper_whose_instance_is_gone_is_up_in_time_all_the_same(inn: Inn) -> None:
    house = inn.house
    house.agent.runs_at = house.clock.now() + timedelta(seconds=1000)
    await inn.pass_time(800)
    assert await inn.state() is State.STOPPED
    await house.control.update("alice", SpecPatch(env={"NEW": "1"}), actor=SYSTEM)
    await inn.pass_time(5)
    assert await inn.state() is State.ABSENT
    await inn.pass_time(200)
    assert await inn.state() is State.RUNNING


@in_an_inn
async def test_one_that_has_no_room_for_its_own_run_is_tried_less_and_less_often(inn: Inn) -> None:
    house = inn.house
    house.agent.runs_at = house.clock.now() + timedelta(seconds=1000)
    await inn.pass_time(900)
    plenty = house.memory.found
    house.memory.found = replace(plenty, available_mb=1)
    await inn.pass_time(400)
    refused = [event for event in house.happened if isinstance(event, CapacityShort)]
    assert 3 <= len(refused) <= 8
    house.memory.found = plenty
    await inn.pass_time(600)
    assert await inn.state() is State.RUNNING


@in_an_inn
async def test_an_agent_that_computed_within_the_window_was_not_idle(inn: Inn) -> None:
    house = inn.house
    used = house.runtime.usage
    cpu_s = 0.0

    async def usage(instance: Instance) -> Usage:
        return replace(await used(instance), cpu_s=cpu_s)

    house.runtime.usage = usage  # type: ignore[method-assign]
    for _ in range(3):
        await inn.pass_time(10)
        cpu_s += 5.0
    await inn.pass_time(50)
    assert await inn.state() is State.RUNNING, "a window has passed since it was used, but not since it computed"
    await inn.pass_time(60)
    assert await inn.state() is State.PAUSED


@in_an_inn
async def test_a_clock_that_was_set_back_keeps_nobody_awake_for_that_long(inn: Inn) -> None:
    inn.house.clock.turn(-3600)
    await inn.pass_time(130)
    assert await inn.state() is State.PAUSED


@in_an_inn
async def test_who_starts_or_has_office_hours_is_not_put_to_sleep_by_order(inn: Inn) -> None:
    house = inn.house
    await house.control.update("alice", SpecPatch(sleep={"schedule": ["awake 00:00-24:00"]}), actor=SYSTEM)
    with pytest.raises(Conflict, match=r"kept awake by its schedule: `awake 00:00-24:00`"):
        await house.control.sleep("alice", "pause", actor=SYSTEM)
    await house.create("bob", patch=POLICY)
    with pytest.raises(Conflict, match="still starting"):
        await house.control.sleep("bob", "stop", actor=SYSTEM)


@in_an_inn
async def test_a_wake_that_is_overtaken_by_an_order_to_sleep_says_so(inn: Inn) -> None:
    house = inn.house
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    await inn.pass_time(5)
    _, waking = await house.control.wake("alice", actor=SYSTEM)
    _, sleeping = await house.control.sleep("alice", "stop", actor=SYSTEM)
    await inn.pass_time(5)
    ended = [await house.control.operation(each.id) for each in (waking, sleeping)]
    assert [each.error and each.error.code for each in ended] == ["superseded", None]
    assert await inn.state() is State.STOPPED


@in_an_inn
async def test_an_order_into_swap_is_done_when_the_memory_is_there(inn: Inn) -> None:
    house = inn.house
    slow = Fault(mishap=Mishap.HANG)
    house.runtime.faults[Call.PAGE_OUT].append(slow)
    _, operation = await house.control.sleep("alice", "page", actor=SYSTEM)
    await inn.pass_time(10)
    under_way = await house.control.operation(operation.id)
    assert (await inn.state(), under_way.status, under_way.progress.step) == (State.PAUSED, "running", "paging out")
    slow.release.set()
    await inn.pass_time(1)
    assert (await house.control.operation(operation.id)).status == "done"
    assert house.dormitory.pager.is_paged("alice")


@in_an_inn
async def test_an_order_into_swap_that_could_not_be_done_says_so(inn: Inn) -> None:
    house = inn.house
    house.runtime.faults[Call.PAGE_OUT].append(Fault(mishap=Mishap.BEFORE, error=lambda: RuntimeFault("swap is full")))
    _, operation = await house.control.sleep("alice", "page", actor=SYSTEM)
    await inn.pass_time(10)
    ended = await house.control.operation(operation.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "rung_missing")
