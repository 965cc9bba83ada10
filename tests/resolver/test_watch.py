"""Who is watched: by tenants as they come, change and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from innkeeper.core.uses import EgressMode
from innkeeper.runtimes.memory import MemoryRuntime
from tests.resolver.test_answering import Zone
from tests.resolver.watched import Watched
from tests.support.serving import free_port

OFF, LEARN, ENFORCE = EgressMode


@pytest.fixture
def runtime() -> MemoryRuntime:
    return MemoryRuntime()


@pytest.fixture
async def house(runtime: MemoryRuntime) -> AsyncIterator[Watched]:
    async with Watched(runtime, Zone(), port=free_port()).running() as house:
        yield house


async def test_modes_follow_the_tenants(house: Watched, runtime: MemoryRuntime) -> None:
    assert house.listeners.addresses == []
    await house.put("alice", LEARN)
    await house.put("bob", ENFORCE, "a.example", slot=1)
    await house.put("carol", OFF, slot=2)
    assert all(map(house.watch.in_force, ("alice", "bob", "carol")))
    assert runtime.ways_out.held == {0: LEARN, 1: ENFORCE}
    places = [await runtime.place(slot) for slot in range(3)]
    assert house.listeners.addresses == [places[0].gateway]
    found = [house.watch.tenant_at(place.address) for place in places]
    assert [tenant and tenant.name for tenant in found] == ["alice", "bob", None]
    await house.put("alice", OFF)
    await house.drop("bob")
    assert runtime.ways_out.held == {}
    assert house.listeners.addresses == []
    assert house.watch.tenant_at(places[0].address) is None


async def test_it_is_wanted_at_once_so_that_nothing_starts_before(house: Watched, runtime: MemoryRuntime) -> None:
    putting = asyncio.create_task(house.put("alice", ENFORCE))
    while not house.directory.tenant("alice"):
        await asyncio.sleep(0)
    assert runtime.ways_out.modes == {0: ENFORCE}
    assert not house.watch.in_force("alice")
    await putting
    assert house.watch.in_force("alice")


async def test_what_leaves_the_list_is_shut(house: Watched, runtime: MemoryRuntime) -> None:
    await house.put("alice", ENFORCE, "a.example", "b.example")
    await runtime.ways_out.open(0, "a.example", ["203.0.113.1", "203.0.113.2"])
    await runtime.ways_out.open(0, "b.example", ["203.0.113.2", "203.0.113.3"])
    await house.put("alice", ENFORCE, "b.example")
    assert runtime.ways_out.reachable[0].keys() == {"203.0.113.2", "203.0.113.3"}


async def test_who_takes_over_a_place_takes_over_nothing_open(house: Watched, runtime: MemoryRuntime) -> None:
    await house.put("alice", ENFORCE, "a.example")
    await runtime.ways_out.open(0, "a.example", ["203.0.113.1"])
    await house.drop("alice")
    await house.put("bob", ENFORCE, "b.example")
    assert runtime.ways_out.reachable[0] == {}


async def test_what_goes_wrong_is_tried_again(house: Watched, runtime: MemoryRuntime) -> None:
    runtime.ways_out.broken = True
    await house.put("alice", ENFORCE)
    assert runtime.ways_out.held == {}
    assert not house.watch.in_force("alice")
    runtime.ways_out.broken = False
    async with asyncio.timeout(10):
        while not house.watch.in_force("alice"):
            await asyncio.sleep(0.01)
    assert runtime.ways_out.held == {0: ENFORCE}


async def test_what_no_event_told_of_is_found(house: Watched, runtime: MemoryRuntime) -> None:
    await house.put_down("alice", ENFORCE, "a.example")
    await house.directory.load()
    await house.watch.look()
    await house.settled()
    assert runtime.ways_out.held == {0: ENFORCE}
