"""The pager: sleepers to swap, runners trimmed, and nobody fetched back what he needs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import RuntimeFault
from innkeeper.core.instance import Usage
from innkeeper.core.ladder import Rung
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House

MB = 1 << 20
WHOLE_MB = 64


async def up() -> House:
    house = House()
    await house.create()
    await house.settle()
    return house


async def paged(house: House) -> None:
    await house.control.sleep("alice", "page", actor=SYSTEM)
    await house.settle()
    await asyncio.gather(*house.dormitory.pager.page_out())


async def usage(house: House) -> Usage:
    return await house.runtime.usage(await house.runtime.get("alice"))


async def test_a_sleeper_on_that_rung_is_paged_out_once_and_measured() -> None:
    house = await up()
    await paged(house)
    pager = house.dormitory.pager
    outcome = pager.outcome("alice")
    assert outcome is not None
    assert (outcome.before_bytes, outcome.after_bytes, outcome.skipped) == (WHOLE_MB * MB, 2 * MB, None)
    assert pager.is_paged("alice")
    assert pager.page_out() == []
    tenant = await house.tenant()
    past = house.dormitory.chronicle.past(tenant)
    assert (past.asleep_mb[Rung.PAGED], past.swapped_mb[Rung.PAGED]) == ((2,), (62,))
    await house.rungs.rouse("alice")
    await house.settle()
    assert pager.outcome("alice") is None


async def test_merely_frozen_it_stays_where_it_is() -> None:
    house = await up()
    await house.control.sleep("alice", "pause", actor=SYSTEM)
    await house.settle()
    assert house.dormitory.pager.page_out() == []


async def test_what_couldnt_be_done_has_a_reason_and_is_tried_again_later() -> None:
    house = await up()
    house.runtime.faults[Call.PAGE_OUT].append(
        Fault(mishap=Mishap.BEFORE, error=lambda: RuntimeFault("the swap of this host is full"))
    )
    await paged(house)
    pager = house.dormitory.pager
    outcome = pager.outcome("alice")
    assert outcome is not None
    assert outcome.skipped == "the swap of this host is full"
    assert not pager.is_paged("alice")
    assert pager.page_out() == []
    house.clock.turn(601)
    await asyncio.gather(*pager.page_out())
    assert pager.is_paged("alice")


async def test_called_off_before_it_began_it_is_done_another_time() -> None:
    house = await up()
    await house.control.sleep("alice", "page", actor=SYSTEM)
    await house.settle()
    pager = house.dormitory.pager
    (task,) = pager.page_out()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not pager.is_paged("alice")
    await asyncio.gather(*pager.page_out())
    assert pager.is_paged("alice")


async def test_whoever_is_needed_meanwhile_is_left_alone_at_once() -> None:
    house = await up()
    stuck = Fault(mishap=Mishap.HANG)
    house.runtime.faults[Call.PAGE_OUT].append(stuck)
    await house.control.sleep("alice", "page", actor=SYSTEM)
    await house.settle()
    (task,) = house.dormitory.pager.page_out()
    await stuck.reached.wait()
    await house.rungs.rouse("alice")
    await asyncio.wait([task])
    assert task.cancelled()
    await house.settle()
    assert (await house.tenant()).seen.ready
    assert house.dormitory.pager.outcome("alice") is None


async def test_a_runner_is_trimmed_when_it_is_due_and_counted() -> None:
    house = await up()
    pager = house.dormitory.pager
    assert await pager.trim() == []
    house.clock.turn(61)
    assert await pager.trim() == ["alice"]
    trimmed = pager.trimmed("alice")
    assert trimmed is not None
    assert (trimmed.resident_bytes, trimmed.swapped_bytes) == (WHOLE_MB // 4 * MB, WHOLE_MB * 3 // 4 * MB)
    assert (await usage(house)).rss_bytes == WHOLE_MB // 4 * MB
    past = house.dormitory.chronicle.past(await house.tenant())
    assert past.swapped_mb[Rung.RUNNING] == (48,)
    house.clock.turn(600)
    assert await pager.trim() == [], "it hasn't been used since"


async def test_nobody_is_trimmed_who_is_in_use_or_has_hardly_grown() -> None:
    house = await up()
    pager = house.dormitory.pager
    house.clock.turn(61)
    house.holds.hold("alice", "call", "a model call is under way", house.clock.now())
    assert await pager.trim() == []
    house.holds.let_go("alice")
    assert await pager.trim() == ["alice"]
    house.directory.touch("alice", house.clock.now())
    house.clock.turn(200)
    assert await pager.trim() == []
    assert house.runtime.calls[Call.PAGE_OUT] == 1


async def test_under_pressure_and_without_swap_nobody_is_trimmed_and_it_says_why() -> None:
    house = await up()
    pager = house.dormitory.pager
    house.clock.turn(61)
    house.control.offer.missing = {Rung.PAGED: "this host has no swap"}
    assert await pager.trim() == []
    assert pager.paused_why == "this host has no swap"
    house.control.offer.missing = {}
    house.memory.found = replace(house.memory.found, stalled_share=0.5)
    assert await pager.trim() == []
    assert pager.paused_why == "50% of the time somebody waits for memory"
    house.memory.found = replace(house.memory.found, stalled_share=0.0)
    assert await pager.trim() == ["alice"]
    assert pager.paused_why is None


async def test_after_a_restart_of_its_own_it_is_trimmed_anew() -> None:
    house = await up()
    pager = house.dormitory.pager
    house.clock.turn(61)
    await pager.trim()
    await house.control.restart("alice", actor=SYSTEM)
    await house.settle()
    assert pager.trimmed("alice") is None
    house.clock.turn(61)
    assert await pager.trim() == ["alice"]


async def test_who_was_up_when_we_came_is_trimmed_too() -> None:
    house = await up()
    house.clock.turn(600)
    house.start("two")
    await house.directory.load()
    pager = house.dormitory.pager
    assert await pager.trim() == []
    house.clock.turn(61)
    assert await pager.trim() == ["alice"]


async def test_one_that_goes_just_now_costs_no_other_its_turn() -> None:
    house = await up()
    await house.create("bob")
    await house.settle("bob")
    house.clock.turn(61)
    house.runtime.faults[Call.PAGE_OUT].append(Fault(mishap=Mishap.BEFORE, error=lambda: RuntimeFault("it is gone")))
    assert await house.dormitory.pager.trim() == ["bob"]
