"""What is said to an agent around its sleep, and what becomes of it when somebody dies in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.activate import is_open
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import AgentBusy
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Probe
from innkeeper.core.reconcile import PATIENCE
from innkeeper.core.specs import SpecPatch
from innkeeper.core.suspension import MADE_UP_AT_MOST
from innkeeper.core.tenant import Wanted
from innkeeper.loops.watcher import ON_THE_WAY_S
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House


class Death(BaseException):
    """The process dies: nothing may catch this."""


@pytest.fixture
async def house() -> House:
    house = House()
    house.agent.can_be_asked = True
    await house.create()
    await house.settle()
    house.prober.answer = (200, b"")
    house.prober.paths.clear()
    return house


async def sleep(house: House, tier: str) -> None:
    await house.control.sleep("alice", tier, actor=SYSTEM)
    await house.settle()


async def rouse(house: House) -> None:
    await house.rungs.rouse("alice")
    await house.settle()


async def test_it_is_asked_before_it_is_frozen_and_told_when_it_is_thawed(house: House) -> None:
    await sleep(house, "pause")
    assert (await house.tenant()).seen.suspension == "paused:nap"
    await rouse(house)
    tenant = await house.tenant()
    assert (tenant.seen.state, tenant.seen.ready, tenant.seen.suspension) == (State.RUNNING, True, None)
    assert house.prober.paths == ["/suspend", "/resume"]


async def test_who_objects_stays_up_and_is_told_to_go_on_when_somebody_comes(house: House) -> None:
    house.prober.answer = (200, b"it drains")
    with pytest.raises(AgentBusy, match="it drains"):
        await sleep(house, "pause")
    tenant = await house.tenant()
    assert (tenant.seen.state, tenant.seen.suspension, tenant.seen.error) == (State.RUNNING, "paused:nap", None)
    (hold,) = house.holds.of("alice")
    assert (hold.kind, hold.why) == ("agent", "it drains")
    await rouse(house)
    assert (await house.tenant()).seen.suspension is None
    assert house.prober.paths == ["/suspend", "/resume"]
    assert house.runtime.calls[Call.PAUSE] == 0


async def test_a_silent_one_isnt_frozen(house: House) -> None:
    house.prober.answer = None
    with pytest.raises(AgentBusy, match="doesn't answer"):
        await sleep(house, "pause")
    assert house.runtime.calls[Call.PAUSE] == 0


async def test_a_leave_that_ended_before_the_freeze_is_no_leave(house: House) -> None:
    house.agent.leave_until = house.clock.now() + timedelta(seconds=120)
    slow = Fault(mishap=Mishap.HANG)
    house.runtime.faults[Call.PAUSE].append(slow)
    await house.control.sleep("alice", "pause", actor=SYSTEM)
    house.clock.turn(121)  # the Engine took so long
    slow.release.set()
    with pytest.raises(AgentBusy, match="leave was over"):
        await house.settle()
    assert (await house.runtime.get("alice")).state is State.RUNNING
    house.agent.leave_until = None
    await house.settle()
    assert (await house.tenant()).seen.state is State.PAUSED


async def test_a_frozen_one_on_its_way_to_the_end_is_asked_again_under_the_other_terms(house: House) -> None:
    await sleep(house, "pause")
    asked: list[object] = []
    real = house.prober.ask

    async def ask(address: str, probe: Probe) -> tuple[int, bytes] | None:
        asked.append((probe.path, (probe.json or {}).get("rung")))
        return await real(address, probe)

    house.prober.ask = ask  # type: ignore[method-assign]
    await sleep(house, "stop")
    assert asked == [("/resume", None), ("/suspend", Rung.STOPPED)]
    assert (await house.tenant()).seen.state is State.STOPPED
    assert (await house.tenant()).seen.suspension is None


async def test_an_order_to_stop_waits_for_work_but_not_for_ever(house: House) -> None:
    house.calls["alice"] = 1
    with pytest.raises(AgentBusy, match="model call"):
        await sleep(house, "stop")
    assert (await house.tenant()).seen.state is State.RUNNING
    house.clock.turn(PATIENCE.total_seconds() + 1)
    await house.settle()
    assert (await house.tenant()).seen.state is State.STOPPED


async def test_idle_it_is_never_stopped_over_its_work(house: House) -> None:
    house.addresses["here"] = "alice"
    house.wire.awaited.add("here")
    await house.rungs.rest("alice", Rung.STOPPED)
    house.clock.turn(PATIENCE.total_seconds() * 100)
    with pytest.raises(AgentBusy):
        await house.settle()
    assert (await house.tenant()).seen.state is State.RUNNING


async def test_a_run_of_its_own_that_is_due_in_a_minute_keeps_it_up(house: House) -> None:
    house.agent.runs_at = house.clock.now() + timedelta(seconds=60)
    with pytest.raises(AgentBusy, match="next run is due at 12:0"):
        await sleep(house, "pause")
    (hold,) = house.holds.of("alice")
    assert hold.kind == "cron"
    assert "/suspend" not in house.prober.paths
    house.agent.runs_at = house.clock.now() + timedelta(hours=2)
    await house.settle()
    tenant = await house.tenant()
    assert (tenant.seen.state, tenant.seen.next_wake) == (State.PAUSED, house.agent.runs_at)
    assert house.holds.of("alice") == []


async def test_who_is_wanted_asleep_goes_whatever_it_is_about(house: House) -> None:
    house.calls["alice"] = 1
    await house.control.update("alice", SpecPatch(), wanted=Wanted.ASLEEP, actor=SYSTEM)
    with pytest.raises(AgentBusy):
        await house.settle()
    house.clock.turn(PATIENCE.total_seconds() + 1)
    await house.settle()
    assert (await house.tenant()).seen.state is State.STOPPED


@pytest.mark.parametrize("mishap", [Mishap.BEFORE, Mishap.AFTER])
async def test_a_crash_around_the_freeze_loses_no_resume(house: House, mishap: Mishap) -> None:
    house.runtime.faults[Call.PAUSE].append(Fault(mishap=mishap, error=Death))
    await house.control.sleep("alice", "pause", actor=SYSTEM)
    with pytest.raises(Death):
        await house.settle()
    house.clock.turn(60)
    house.start("two")
    await house.rungs.rouse("alice")
    await house.settle()
    tenant = await house.tenant()
    assert (tenant.seen.state, tenant.seen.ready, tenant.seen.suspension) == (State.RUNNING, True, None)
    assert house.prober.paths[-1] == "/resume"


async def makes_up(house: House) -> None:
    """One more round of it, the last of which ends for good."""
    house.prober.paths.clear()
    try:
        await house.settle()
    except NotYet as wait:
        house.clock.turn(wait.again_s)


async def sleeps_through(house: House, missed_runs: str) -> None:
    """A run of its own falls due, and nobody is there to wake it; then it is woken."""
    await house.control.update("alice", SpecPatch(sleep={"missed_runs": missed_runs}), actor=SYSTEM)
    await house.settle()
    house.agent.runs_at = house.clock.now() + timedelta(hours=1)
    await sleep(house, "stop")
    house.agent.was_due = house.agent.under_way = {"hourly": 5, "daily": 1, "constantly": 1000}
    house.clock.turn(6 * 3600)
    await house.rungs.rouse("alice")
    await makes_up(house)


async def test_runs_that_were_missed_are_made_up_for_one_by_one_where_that_is_wanted(house: House) -> None:
    await sleeps_through(house, "run")
    assert set(runs_asked(house)) == set(), "the last of each it makes up for by itself, and is just doing so"
    asked: Counter[str] = Counter()
    house.agent.under_way = {"constantly"}
    for turn in range(40):
        await makes_up(house)
        round_s = Counter(runs_asked(house))
        assert all(times == 1 for times in round_s.values()), "one run of a job at a time"
        asked += round_s
        if turn == 2:
            house.agent.under_way = ()
            house.start("two")  # the process dies in between: what is owed was written down
    assert asked == {"/run/hourly": 4, "/run/constantly": MADE_UP_AT_MOST}
    seen = (await house.tenant()).seen
    assert (seen.missed_since, seen.owed_runs) == (None, ())
    await makes_up(house)
    assert house.prober.paths == []


async def test_a_job_that_was_taken_out_is_owed_nothing(house: House) -> None:
    await sleeps_through(house, "run")
    assert dict((await house.tenant()).seen.owed_runs).keys() == {"hourly", "constantly"}
    house.agent.was_due = house.agent.under_way = {"constantly": 1}
    await makes_up(house)
    assert dict((await house.tenant()).seen.owed_runs).keys() == {"constantly"}
    await house.control.update("alice", SpecPatch(sleep={"missed_runs": "skip"}), actor=SYSTEM)
    await makes_up(house)
    assert (await house.tenant()).seen.owed_runs == ()


async def test_an_agent_that_does_not_answer_is_asked_again(house: House) -> None:
    house.prober.deaf_to = {"/jobs"}
    await sleeps_through(house, "run")
    assert (await house.tenant()).seen.missed_since is not None
    house.prober.deaf_to = set()
    house.agent.under_way = ()
    await makes_up(house)
    assert set(runs_asked(house)) == {"/run/hourly", "/run/constantly"}


def runs_asked(house: House) -> list[str]:
    return [path for path in house.prober.paths if path.startswith("/run")]


@pytest.mark.parametrize("missed_runs", ["run-once", "skip"])
async def test_else_they_are_left_to_the_agent(house: House, missed_runs: str) -> None:
    await sleeps_through(house, missed_runs)
    assert [path for path in house.prober.paths if path.startswith(("/run", "/jobs"))] == []
    assert (await house.tenant()).seen.missed_since is None


async def test_a_run_that_it_was_woken_for_wasnt_missed(house: House) -> None:
    await house.control.update("alice", SpecPatch(sleep={"missed_runs": "run"}), actor=SYSTEM)
    await house.settle()
    house.agent.runs_at = house.clock.now() + timedelta(hours=1)
    await sleep(house, "pause")
    house.agent.was_due = {"hourly": 5}
    house.clock.turn(3610)
    await rouse(house)
    assert "/jobs" not in house.prober.paths


async def test_whoever_comes_while_it_is_being_stopped_is_never_sent_to_the_dying_one(house: House) -> None:
    slow = Fault(mishap=Mishap.HANG)
    house.runtime.faults[Call.STOP].append(slow)
    await house.control.sleep("alice", "stop", actor=SYSTEM)
    working = asyncio.create_task(house.settle())
    while house.runtime.calls[Call.STOP] == 0:
        await asyncio.sleep(0)
    await house.rungs.rouse("alice")
    tenant = await house.tenant()
    assert tenant.target is State.RUNNING
    assert not is_open(tenant)
    slow.release.set()
    await working
    await house.settle()
    assert is_open(await house.tenant())
    assert house.runtime.calls[Call.START] == 2


async def test_whoever_comes_while_it_is_asked_keeps_it_up(house: House) -> None:
    real = house.prober.ask

    async def ask(address: str, probe: Probe) -> tuple[int, bytes] | None:
        if probe.path == "/suspend":
            await house.rungs.rouse("alice")
        return await real(address, probe)

    house.prober.ask = ask  # type: ignore[method-assign]
    await sleep(house, "stop")
    assert is_open(await house.tenant())
    assert house.runtime.calls[Call.STOP] == 0
    assert house.prober.paths[-1] == "/resume"


async def test_whoever_was_let_in_just_now_is_waited_for_before_a_look(house: House) -> None:
    house.addresses["here"] = "alice"
    house.directory.touch("alice", house.clock.now())

    async def reach() -> None:
        await asyncio.sleep(0.9 * ON_THE_WAY_S)
        house.wire.awaited.add("here")

    reaching = asyncio.create_task(reach())
    with pytest.raises(AgentBusy, match="awaited"):
        await sleep(house, "stop")
    await reaching
    assert is_open(replace(await house.tenant(), rung=Rung.RUNNING)), "as ready as it was"
    assert house.runtime.calls[Call.STOP] == 0


async def test_who_is_needed_after_it_consented_to_the_end_is_told_to_go_on_under_that_consent(house: House) -> None:
    said: list[tuple[str, object]] = []
    real = house.prober.ask

    async def ask(address: str, probe: Probe) -> tuple[int, bytes] | None:
        said.append((probe.path, probe.json))
        if probe.path == "/suspend":
            await house.rungs.rouse("alice")
        return await real(address, probe)

    house.prober.ask = ask  # type: ignore[method-assign]
    await sleep(house, "stop")
    assert said == [("/suspend", {"rung": Rung.STOPPED}), ("/resume", {"suspension": "nap"})]
    tenant = await house.tenant()
    assert (tenant.seen.state, tenant.seen.ready, tenant.seen.suspension) == (State.RUNNING, True, None)
    assert house.runtime.calls[Call.STOP] == 0


async def test_after_a_death_in_mid_question_the_same_question_is_asked_again(house: House) -> None:
    said: list[object] = []
    real = house.prober.ask

    async def dies(address: str, probe: Probe) -> tuple[int, bytes] | None:
        raise Death

    async def ask(address: str, probe: Probe) -> tuple[int, bytes] | None:
        said.append((probe.path, (probe.json or {}).get("rung")))
        return await real(address, probe)

    house.prober.ask = dies  # type: ignore[method-assign]
    with pytest.raises(Death):
        await sleep(house, "stop")
    house.prober.ask = ask  # type: ignore[method-assign]
    house.clock.turn(60)
    house.start("two")
    await rouse(house)
    assert said[:2] == [("/suspend", Rung.STOPPED), ("/resume", None)]


async def test_an_order_that_was_patient_long_enough_still_learns_when_it_has_to_be_up(house: House) -> None:
    house.agent.runs_at = house.clock.now() + timedelta(seconds=80)
    with pytest.raises(AgentBusy, match="next run is due"):
        await sleep(house, "stop")
    house.clock.turn(PATIENCE.total_seconds() + 1)
    await house.settle()
    seen = (await house.tenant()).seen
    assert (seen.state, seen.next_wake) == (State.STOPPED, house.agent.runs_at)
