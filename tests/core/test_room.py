"""Room: no wake beyond the memory, sleepers give way in the order of their last use, and a promise is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import NoCapacity, RuntimeFault
from innkeeper.core.instance import Instance, State, Usage
from innkeeper.core.ladder import Rung
from innkeeper.core.room import Room, RoomIsBeingMade
from innkeeper.core.specs import LimitsPatch, SpecPatch
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House

LIMIT_MB = 1000
"""Of which the memory runtime's instances take half."""
PATCH = SpecPatch(limits=LimitsPatch(memory_mb=LIMIT_MB))


async def full_house(*names: str) -> House:
    """Tenants that are up, in the order of their last use."""
    house = House()
    for name in names:
        await house.create(name, PATCH)
        await house.settle(name)
        house.clock.turn(10)
        house.directory.touch(name, house.clock.now())
    return house


async def sleep(house: House, name: str, tier: str) -> None:
    await house.control.sleep(name, tier, actor=SYSTEM)
    await house.settle(name)


def free(house: House, available_mb: int, swap_free_mb: int = 64_000) -> None:
    house.memory.found = replace(house.memory.found, available_mb=available_mb, swap_free_mb=swap_free_mb)


def room(house: House) -> Room:
    return house.dormitory.room


async def admit(house: House, name: str = "alice") -> None:
    await room(house).admit(await house.tenant(name))


async def test_what_fits_whatever_it_takes_is_let_in_unmeasured() -> None:
    house = await full_house("alice")
    await sleep(house, "alice", "stop")
    free(house, LIMIT_MB)
    await admit(house)


async def test_its_own_past_says_what_it_needs() -> None:
    house = await full_house("alice")
    tenant = await house.tenant()
    assert room(house).need_mb(tenant) == 0, "it is up and has what it needs"
    house.dormitory.chronicle.note_usage(tenant, await house.runtime.usage(await house.runtime.get("alice")))
    await sleep(house, "alice", "stop")
    assert room(house).need_mb(await house.tenant()) == LIMIT_MB / 2
    free(house, LIMIT_MB // 2)
    await admit(house)
    room(house).settled("alice", up=False)
    free(house, LIMIT_MB // 2 - 1)
    with pytest.raises(NoCapacity, match="needs 500 MB of memory, and 499 MB are free"):
        await admit(house)


async def test_of_one_that_nobody_knows_the_past_of_its_kind_is_told_and_else_its_limit() -> None:
    house = await full_house("alice", "bob")
    await sleep(house, "bob", "stop")
    assert room(house).need_mb(await house.tenant("bob")) == LIMIT_MB
    usage = await house.runtime.usage(await house.runtime.get("alice"))
    house.dormitory.chronicle.note_usage(await house.tenant("alice"), usage)
    assert room(house).need_mb(await house.tenant("bob")) == LIMIT_MB / 2


async def test_the_least_recently_used_sleeper_goes_to_swap_first() -> None:
    house = await full_house("old", "older", "alice")
    house.directory.touch("old", house.clock.now())
    for name in ("old", "older"):
        await sleep(house, name, "pause")
    await sleep(house, "alice", "stop")
    free(house, LIMIT_MB - 100)
    with pytest.raises(RoomIsBeingMade):
        await admit(house)
    rungs = {name: (await house.tenant(name)).rung for name in ("old", "older")}
    assert rungs == {"old": Rung.PAUSED, "older": Rung.PAGED}
    with pytest.raises(RoomIsBeingMade):
        await admit(house)
    assert (await house.tenant("old")).rung is Rung.PAUSED, "what is coming is counted on, not asked for twice"


async def test_where_swap_is_full_or_missing_sleepers_are_stopped() -> None:
    for missing, swap_free_mb in (({}, 10), ({Rung.PAGED: "this host has no swap"}, 64_000)):
        house = await full_house("old", "alice")
        await sleep(house, "old", "pause")
        await sleep(house, "alice", "stop")
        house.control.offer.missing = missing
        free(house, LIMIT_MB - 100, swap_free_mb)
        with pytest.raises(RoomIsBeingMade):
            await admit(house)
        assert (await house.tenant("old")).rung is Rung.STOPPED


async def test_nobody_is_put_down_for_a_wake_that_wouldnt_fit_all_the_same() -> None:
    house = await full_house("old", "alice")
    await sleep(house, "old", "pause")
    await sleep(house, "alice", "stop")
    free(house, 100)
    with pytest.raises(NoCapacity):
        await admit(house)
    assert (await house.tenant("old")).rung is Rung.PAUSED


async def test_what_was_promised_isnt_promised_twice() -> None:
    house = await full_house("alice", "bob")
    for name in ("alice", "bob"):
        await sleep(house, name, "stop")
    free(house, LIMIT_MB)
    await admit(house, "alice")
    await admit(house, "alice")
    with pytest.raises(NoCapacity):
        await admit(house, "bob")
    room(house).settled("alice", up=False)
    await admit(house, "bob")


async def test_what_one_has_taken_of_its_promise_isnt_kept_for_it_any_more() -> None:
    house = await full_house("alice", "bob")
    for name in ("alice", "bob"):
        await sleep(house, name, "stop")
    free(house, 3 * LIMIT_MB)
    await admit(house, "alice")
    await house.rungs.rouse("alice")
    await house.settle("alice")
    free(house, LIMIT_MB + LIMIT_MB // 2)  # it has taken half of what was promised, and the kernel counts that
    await admit(house, "bob")


async def test_a_promise_ends_a_while_after_its_tenant_is_up() -> None:
    house = await full_house("alice", "bob")
    for name in ("alice", "bob"):
        await sleep(house, name, "stop")
    free(house, LIMIT_MB)
    await admit(house, "alice")
    room(house).settled("alice", up=True)
    with pytest.raises(NoCapacity):
        await admit(house, "bob")
    house.clock.turn(31)
    await admit(house, "bob")


async def test_one_that_idles_though_it_is_up_gives_way_before_those_who_lie_in_swap() -> None:
    house = await full_house("paged", "up", "busy", "alice")
    await sleep(house, "paged", "page")
    await asyncio.gather(*house.dormitory.pager.page_out())
    await sleep(house, "alice", "stop")
    house.clock.turn(61)
    house.holds.hold("busy", "call", "a model call is under way", house.clock.now())
    free(house, LIMIT_MB - 100)
    with pytest.raises(RoomIsBeingMade):
        await admit(house)
    rungs = {name: (await house.tenant(name)).rung for name in ("paged", "up", "busy")}
    assert rungs == {"paged": Rung.PAGED, "up": Rung.PAGED, "busy": Rung.RUNNING}
    room(house).has_yielded("up")
    free(house, 0)
    with pytest.raises(NoCapacity):
        await admit(house)


async def test_what_goes_to_compressed_swap_takes_memory_there_too() -> None:
    house = await full_house("old", "alice")
    await sleep(house, "old", "pause")
    await sleep(house, "alice", "stop")
    half = {"zram_stored_mb": 1000, "zram_memory_mb": 500, "swap_free_mb": 63_000}
    house.memory.found = replace(house.memory.found, available_mb=LIMIT_MB - 300, **half)
    with pytest.raises(NoCapacity):
        await admit(house)  # 500 MB to zram free 250
    house.memory.found = replace(house.memory.found, available_mb=LIMIT_MB - 250)
    with pytest.raises(RoomIsBeingMade):
        await admit(house)


async def test_a_wake_without_room_is_refused_whole_and_the_tenant_sleeps_on() -> None:
    house = await full_house("alice")
    await sleep(house, "alice", "stop")
    free(house, 10)
    _, operation = await house.control.wake("alice", actor=SYSTEM)
    with pytest.raises(NoCapacity):
        await house.settle("alice")
    ended = await house.control.operation(operation.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", NoCapacity.code)
    assert await house.rungs.let_lie("alice")
    assert (await house.tenant()).rung is Rung.STOPPED
    assert (await house.runtime.get("alice")).state is State.STOPPED


async def test_one_that_fetches_messages_or_computes_does_not_give_way_before_its_time() -> None:
    house = await full_house("up", "alice")
    await sleep(house, "alice", "stop")
    house.clock.turn(61)
    free(house, LIMIT_MB - 100)
    house.agent.channels = ("telegram",)
    with pytest.raises(NoCapacity):
        await admit(house)
    assert (await house.tenant("up")).rung is Rung.RUNNING
    (hold,) = house.holds.of("up")
    assert hold.kind == "channel"
    house.agent.channels = ()
    house.holds.let_go("up")
    used, cpu_s = house.runtime.usage, iter(range(1000))

    async def usage(instance: Instance) -> Usage:
        return replace(await used(instance), cpu_s=float(next(cpu_s)))

    house.runtime.usage = usage  # type: ignore[method-assign]
    with pytest.raises(NoCapacity):
        await admit(house)
    assert [hold.kind for hold in house.holds.of("up")] == ["processor"]


async def test_wakes_at_once_are_not_all_promised_the_same_memory() -> None:
    names = [f"t{number}" for number in range(6)]
    house = await full_house(*names)
    for name in names:
        await sleep(house, name, "stop")
    free(house, 2 * LIMIT_MB)
    used = house.runtime.get

    async def slowly(tenant: str) -> Instance:
        await asyncio.sleep(0)
        return await used(tenant)

    house.runtime.get = slowly  # type: ignore[method-assign]
    outcomes = await asyncio.gather(*(admit(house, name) for name in names), return_exceptions=True)
    assert [outcome is None for outcome in outcomes].count(True) == 2


async def test_one_that_could_not_be_paged_out_is_stopped_for_whoever_needs_the_room() -> None:
    house = await full_house("old", "alice")
    house.runtime.faults[Call.PAGE_OUT].append(Fault(mishap=Mishap.BEFORE, error=lambda: RuntimeFault("busy")))
    await sleep(house, "old", "page")
    await asyncio.gather(*house.dormitory.pager.page_out())
    await sleep(house, "alice", "stop")
    free(house, LIMIT_MB - 100)
    with pytest.raises(RoomIsBeingMade):
        await admit(house)
    assert (await house.tenant("old")).rung is Rung.STOPPED


async def test_what_the_first_of_a_kind_takes_tells_what_the_others_will() -> None:
    house = await full_house("alice", "bob")
    for name in ("alice", "bob"):
        await sleep(house, name, "stop")
    free(house, LIMIT_MB + 400)
    await admit(house, "alice")
    await house.rungs.rouse("alice")
    await house.settle("alice")
    free(house, 900)
    with pytest.raises(NoCapacity):
        await admit(house, "bob")  # all that alice was promised may still come, and nothing is known of bob
    house.clock.turn(11)
    await admit(house, "bob")
