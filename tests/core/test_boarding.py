"""Boarding: starts in turn, a wake that waits says why, processor time for the while."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import NoCapacity, RuntimeFault
from innkeeper.core.events import CapacityShort
from innkeeper.core.instance import State
from innkeeper.loops.dormitory import SleepSettings
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House


async def sleepers(*names: str, starts_at_once: int = 1) -> House:
    house = House()
    house.sleep_settings = SleepSettings(reserve_mb=0, boost_cpus=0, starts_at_once=starts_at_once)
    house.agent.start_timeout_s = 3600
    house.start()
    for name in names:
        await house.create(name)
        await house.settle(name)
        await house.control.sleep(name, "stop", actor=SYSTEM)
        await house.settle(name)
    return house


async def test_a_cold_start_waits_for_its_turn_and_says_where_it_stands() -> None:
    house = await sleepers("alice", "bob", "carol")
    await house.control.wake("alice", actor=SYSTEM)
    house.prober.answer = None
    starting = asyncio.create_task(house.settle("alice"))
    while not house.dormitory.turnstile.starting:
        await asyncio.sleep(0)
    waits = []
    for name in ("bob", "carol"):
        _, operation = await house.control.wake(name, actor=SYSTEM)
        with pytest.raises(NotYet):
            await house.settle(name)
        waits.append((await house.control.operation(operation.id)).progress.step)
    assert waits == ["waiting for its turn to start, number 1 of 1", "waiting for its turn to start, number 2 of 2"]
    assert house.dormitory.position("carol") == (2, 2)
    assert house.runtime.calls[Call.START] == 4
    house.prober.answer = (200, b"")
    await starting
    assert len(house.queue) == 1, "whose turn it is, is looked at again"
    await house.settle("bob")
    await house.settle("carol")
    assert house.dormitory.turnstile.starting == house.dormitory.turnstile.waiting == 0


async def test_a_start_that_fails_gives_its_place_to_the_next() -> None:
    house = await sleepers("alice", "bob")
    house.runtime.faults[Call.START].append(Fault(mishap=Mishap.BEFORE, error=lambda: RuntimeFault("no")))
    await house.rungs.rouse("alice")
    with pytest.raises(RuntimeFault):
        await house.settle("alice")
    await house.rungs.rouse("bob")
    await house.settle("bob")
    assert (await house.tenant("bob")).seen.ready


async def test_whoever_needn_t_start_any_more_leaves_the_line() -> None:
    house = await sleepers("alice", "bob")
    house.dormitory.turnstile.occupy("alice")
    await house.rungs.rouse("bob")
    with pytest.raises(NotYet):
        await house.settle("bob")
    await house.control.delete("bob", purge=True, actor=SYSTEM)
    assert house.dormitory.turnstile.waiting == 0
    await house.settle("bob")


async def test_one_found_starting_counts_after_a_restart_of_ours() -> None:
    house = await sleepers("alice", "bob")
    await house.rungs.rouse("alice")
    house.prober.answer = None
    starting = asyncio.create_task(house.settle("alice"))
    while (await house.runtime.get("alice")).state is not State.RUNNING:
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    house.clock.turn(60)
    house.start("two")
    looking = asyncio.create_task(house.settle("alice"))
    while not house.dormitory.turnstile.starting:
        await asyncio.sleep(0)
    await house.rungs.rouse("bob")
    with pytest.raises(NotYet):
        await house.settle("bob")
    house.prober.answer = (200, b"")
    await looking
    await house.settle("bob")


async def test_one_that_never_gets_ready_holds_up_nobody() -> None:
    house = await sleepers("alice", "bob")
    house.agent.start_timeout_s = 60
    house.prober.answer = None
    await house.rungs.rouse("alice")
    for _ in range(3):
        with pytest.raises(NotYet):
            await house.settle("alice")
        assert house.dormitory.turnstile.starting == 0
    assert (await house.tenant()).seen.error == "It has run for 60 s without becoming ready."
    house.prober.answer = (200, b"")
    await house.rungs.rouse("bob")
    await house.settle("bob")
    await house.settle("alice")
    assert [(await house.tenant(name)).seen.error for name in ("alice", "bob")] == [None, None]


async def test_who_has_no_room_is_told_of_and_known_to_be_crowded_for_a_while() -> None:
    house = await sleepers("alice")
    house.memory.found = type(house.memory.found)(total_mb=1000, available_mb=10)
    await house.rungs.rouse("alice")
    with pytest.raises(NoCapacity):
        await house.settle("alice")
    (told,) = [event for event in house.happened if isinstance(event, CapacityShort)]
    assert isinstance(told.problem, NoCapacity)
    assert house.dormitory.boarding.crowded("alice")
    assert house.dormitory.turnstile.starting == 0
    house.clock.turn(60)
    assert not house.dormitory.boarding.crowded("alice")


async def test_processor_time_for_the_start_is_given_back_after_the_first_answer() -> None:
    house = House()
    house.sleep_settings = SleepSettings(reserve_mb=0, boost_cpus=4)
    house.start()
    await house.create()
    await house.settle()
    assert (await house.runtime.get("alice")).cpus == 4
    warmup = house.dormitory.warmup
    await warmup.look()
    assert (await house.runtime.get("alice")).cpus == 4, "nobody has asked it anything yet"
    house.clock.turn(5)
    house.directory.touch("alice", house.clock.now())
    house.holds.hold("alice", "traffic", "it answers", house.clock.now())
    await warmup.look()
    assert (await house.runtime.get("alice")).cpus == 4, "it is answering"
    house.holds.let_go("alice")
    await warmup.look()
    assert (await house.runtime.get("alice")).cpus == 4, "it may be answering, and nobody has looked yet"
    house.clock.turn(2)
    await warmup.look()
    assert (await house.runtime.get("alice")).cpus == 1


async def test_processor_time_is_given_back_after_an_answer_that_was_out_before_anybody_looked() -> None:
    house = House()
    house.sleep_settings = SleepSettings(reserve_mb=0, boost_cpus=4)
    house.start()
    await house.create()
    await house.settle()
    house.directory.touch("alice", house.clock.now())
    house.clock.turn(2)
    await house.dormitory.warmup.look()
    assert (await house.runtime.get("alice")).cpus == 1


async def test_processor_time_is_given_back_though_nobody_asks_and_we_were_restarted() -> None:
    house = House()
    house.sleep_settings = SleepSettings(reserve_mb=0, boost_cpus=4)
    house.start()
    await house.create()
    await house.settle()
    house.clock.turn(60)
    house.start("two")
    await house.directory.load()
    house.dormitory.warmup.adopt(await house.runtime.all())
    await house.dormitory.warmup.look()
    assert (await house.runtime.get("alice")).cpus == 4
    house.clock.turn(61)
    await house.dormitory.warmup.look()
    assert (await house.runtime.get("alice")).cpus == 1
