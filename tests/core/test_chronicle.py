"""The chronicle: wakes are timed without the wait for a turn, stays have their peaks, and all is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from innkeeper.core.access import SYSTEM
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.past import NOTHING
from innkeeper.loops.housekeeping import Housekeeping
from tests.support.house import House

MB = 1 << 20


async def up(*names: str) -> House:
    house = House()
    for name in names or ("alice",):
        await house.create(name)
        await house.settle(name)
    return house


async def sleep(house: House, tier: str) -> None:
    await house.control.sleep("alice", tier, actor=SYSTEM)
    await house.settle()


async def wake(house: House, takes_s: float) -> None:
    await house.rungs.rouse("alice")
    house.clock.turn(takes_s)
    await house.settle()


async def test_a_wake_is_timed_by_the_rung_that_it_came_from() -> None:
    house = await up()
    chronicle = house.dormitory.chronicle
    await sleep(house, "pause")
    assert chronicle.wake_s(await house.tenant()) is None
    await wake(house, 0.25)
    await sleep(house, "page")
    await asyncio.gather(*house.dormitory.pager.page_out())
    await wake(house, 0.5)
    wakes = chronicle.past(await house.tenant()).wakes_s
    assert (wakes[Rung.PAUSED], wakes[Rung.PAGED]) == ((0.25,), (0.5,))
    await sleep(house, "pause")
    assert chronicle.wake_s(await house.tenant()) == 0.25


async def test_the_wait_for_its_turn_isnt_part_of_a_start() -> None:
    house = await up()
    await sleep(house, "stop")
    await wake(house, 100)
    assert max(house.dormitory.chronicle.past(await house.tenant()).wakes_s[Rung.STOPPED]) < 1


async def test_of_one_never_woken_its_kind_is_told() -> None:
    house = await up("alice", "bob")
    await sleep(house, "pause")
    await wake(house, 0.5)
    await house.control.sleep("bob", "pause", actor=SYSTEM)
    await house.settle("bob")
    chronicle = house.dormitory.chronicle
    bob = await house.tenant("bob")
    assert (chronicle.wake_s(bob), chronicle.slowest_wake_s(bob)) == (0.5, 0.5)


async def test_a_stay_has_one_peak_and_the_next_another() -> None:
    house = await up()
    chronicle = house.dormitory.chronicle
    usage = await house.runtime.usage(await house.runtime.get("alice"))
    for resident_mb in (100, 300, 200):
        chronicle.note_usage(await house.tenant(), replace(usage, rss_bytes=resident_mb * MB))
    await sleep(house, "pause")
    await wake(house, 0)
    chronicle.note_usage(await house.tenant(), replace(usage, rss_bytes=150 * MB))
    awake = chronicle.past(await house.tenant()).awake_mb
    assert awake == {Rung.STOPPED: (300,), Rung.PAUSED: (150,)}


async def test_what_was_measured_is_written_down_and_read_again() -> None:
    house = await up()
    await sleep(house, "pause")
    await wake(house, 0.75)
    chronicle = house.dormitory.chronicle
    housekeeping = Housekeeping(
        store=house.store,
        runtime=house.runtime,
        directory=house.directory,
        identities=house.identities,
        bus=house.bus,
        clock=house.clock,
        operations_kept=timedelta(days=1),
        messages_kept=timedelta(days=1),
        take_pasts=chronicle.take,
    )
    await housekeeping.save_activity()
    assert chronicle.take() == {}
    assert (await house.tenant()).past.wakes_s[Rung.PAUSED] == (0.75,)
    house.start("two")
    await house.directory.load()
    tenant = house.directory.tenant("alice")
    assert tenant is not None
    assert house.dormitory.chronicle.past(tenant).wakes_s[Rung.PAUSED] == (0.75,)


async def test_whoever_is_gone_has_no_past() -> None:
    house = await up()
    await sleep(house, "pause")
    await wake(house, 1)
    tenant = await house.tenant()
    await house.control.delete("alice", purge=True, actor=SYSTEM)
    await house.settle()
    chronicle = house.dormitory.chronicle
    assert chronicle.past(replace(tenant, past=NOTHING)) == NOTHING
    assert chronicle.take() == {}


async def test_where_it_really_is_decides_not_where_it_should_be() -> None:
    house = await up()
    await sleep(house, "page")
    chronicle = house.dormitory.chronicle
    assert chronicle.rung_of(await house.tenant()) is Rung.PAUSED, "it isn't paged out yet"
    await asyncio.gather(*house.dormitory.pager.page_out())
    assert chronicle.rung_of(await house.tenant()) is Rung.PAGED
    seen = (await house.tenant()).seen
    for state, rung in ((State.STARTING, Rung.RUNNING), (State.SAVED, Rung.SAVED), (State.ABSENT, Rung.STOPPED)):
        assert chronicle.rung_of(replace(await house.tenant(), seen=replace(seen, state=state))) is rung
