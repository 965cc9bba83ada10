"""The memory runtime's own promises: it misbehaves on request, complains about the core, and is cheap."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from innkeeper.core.errors import RuntimeFault, RuntimeUnavailable
from innkeeper.core.instance import State, absent
from innkeeper.runtimes.memory import MemoryRuntime
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.runtimes.benches import MemoryBench


@pytest.fixture
def bench() -> MemoryBench:
    return MemoryBench()


@pytest.fixture
def runtime(bench: MemoryBench) -> MemoryRuntime:
    return bench.runtime


class Death(BaseException):
    """Plays the death of the process."""


async def test_it_can_fail_before_and_after_having_acted(bench: MemoryBench, runtime: MemoryRuntime) -> None:
    runtime.faults[Call.CREATE] += [Fault(mishap=Mishap.BEFORE), Fault(mishap=Mishap.AFTER, error=Death)]
    with pytest.raises(RuntimeUnavailable):
        await runtime.create(bench.blueprint())
    assert await runtime.get("alice") == absent("alice")
    with pytest.raises(Death):
        await runtime.create(bench.blueprint())
    assert (await runtime.get("alice")).exists
    assert runtime.calls[Call.CREATE] == 2
    assert [(deed.call, deed.tenant) for deed in runtime.journal] == [(Call.CREATE, "alice")]


async def test_a_fault_can_be_meant_for_one_tenant(bench: MemoryBench, runtime: MemoryRuntime) -> None:
    runtime.faults[Call.GET].append(Fault(mishap=Mishap.BEFORE, tenant="bob"))
    await runtime.get("alice")
    with pytest.raises(RuntimeUnavailable):
        await runtime.get("bob")
    await runtime.get("bob")


async def test_it_can_vanish_under_an_action(bench: MemoryBench, runtime: MemoryRuntime) -> None:
    instance = await runtime.create(bench.blueprint())
    runtime.faults[Call.START].append(Fault(mishap=Mishap.VANISH))
    with pytest.raises(RuntimeFault):
        await runtime.start(instance)
    assert runtime.violations == []


async def test_it_can_hang_until_released(bench: MemoryBench, runtime: MemoryRuntime) -> None:
    instance = await runtime.create(bench.blueprint())
    fault = Fault(mishap=Mishap.HANG)
    runtime.faults[Call.START].append(fault)
    starting = asyncio.create_task(runtime.start(instance))
    await fault.reached.wait()
    assert (await runtime.get("alice")).state is State.STOPPED
    fault.release.set()
    await starting
    assert (await runtime.get("alice")).state is State.RUNNING


async def test_it_complains_about_two_actions_of_one_tenant_at_once(bench: MemoryBench, runtime: MemoryRuntime) -> None:
    instance = await bench.started()
    fault = Fault(mishap=Mishap.HANG)
    runtime.faults[Call.PAUSE].append(fault)
    pausing = asyncio.create_task(runtime.pause(instance))
    await fault.reached.wait()
    await runtime.stop(instance, grace_s=1)
    fault.release.set()
    with pytest.raises(RuntimeFault):
        await pausing
    assert runtime.violations == ["stop of alice while another action of it was under way"]


async def test_different_tenants_at_once_are_fine(bench: MemoryBench, runtime: MemoryRuntime) -> None:
    alice, bob = await bench.started("alice"), await bench.started("bob", slot=1)
    await asyncio.gather(runtime.pause(alice), runtime.pause(bob))
    assert runtime.violations == []


async def test_it_complains_about_acting_on_nothing_or_on_what_the_core_removed(
    bench: MemoryBench, runtime: MemoryRuntime
) -> None:
    with pytest.raises(RuntimeFault):
        await runtime.start(absent("alice"))
    instance = await bench.started()
    await runtime.remove(instance)
    with pytest.raises(RuntimeFault):
        await runtime.stop(instance, grace_s=1)
    assert runtime.violations == [
        "start of alice, which is absent",
        "stop of alice by a stale id: the core itself removed that one",
    ]


async def test_it_complains_about_the_wrong_order(bench: MemoryBench, runtime: MemoryRuntime) -> None:
    instance = await bench.started()
    await runtime.create(bench.blueprint())
    await runtime.pause(instance)
    paused = await runtime.get("alice")
    with pytest.raises(RuntimeFault):
        await runtime.start(paused)
    await runtime.stop(paused, grace_s=1)
    with pytest.raises(RuntimeFault):
        await runtime.pause(await runtime.get("alice"))
    assert runtime.violations == [
        "create of alice over one that lives",
        "start of alice while it is paused",
        "stop of alice while it is paused: it can't end in order",
        "pause of alice while it is stopped",
    ]


async def test_somebodys_hand_is_not_the_cores_fault(bench: MemoryBench, runtime: MemoryRuntime) -> None:
    instance = await bench.started()
    runtime.by_hand_stop("alice", exit_code=137)
    assert (await runtime.get("alice")).exit_code == 137
    with pytest.raises(RuntimeFault):
        await runtime.pause(instance)
    await runtime.start(await runtime.get("alice"))
    runtime.by_hand_pause("alice")
    await runtime.stop(instance, grace_s=1)
    runtime.by_hand_remove("alice")
    with pytest.raises(RuntimeFault):
        await runtime.start(instance)
    assert runtime.violations == []


async def test_a_start_is_never_the_same_twice_even_on_a_clock_that_stands(bench: MemoryBench) -> None:
    bench.runtime = MemoryRuntime(now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    first = await bench.started()
    bench.runtime.crash("alice")
    second = await bench.runtime.get("alice")
    assert first.started_at
    assert second.started_at
    assert second.started_at > first.started_at


async def test_its_addresses_are_loopback_so_that_agents_can_be_served_there(runtime: MemoryRuntime) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), (await runtime.place(777)).address, 0)
    server.close()


async def test_ten_thousand_are_listed_without_making_one_of_them_anew(
    bench: MemoryBench, runtime: MemoryRuntime
) -> None:
    for slot in range(10_000):
        await runtime.create(bench.blueprint(f"t-{slot}", slot=slot))
    first, second = await runtime.all(), await runtime.all()
    assert len(first) == 10_000
    assert all(one is other for one, other in zip(first, second, strict=True))
