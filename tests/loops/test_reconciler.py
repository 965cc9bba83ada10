"""The loops around the reconciler: changes are picked up, nothing is missed, nobody else's things are touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.events import Event, TenantGone
from innkeeper.core.instance import State
from innkeeper.core.operations import Operation, Status
from innkeeper.loops.reconciler import ReconcilerLoops, unsettled
from innkeeper.loops.supervise import Supervisor
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House

pytestmark = pytest.mark.looptime

TICK_S = 30.0


def loops_of(house: House) -> ReconcilerLoops:
    return house.loops(tick_s=TICK_S, workers=3)


@asynccontextmanager
async def living(house: House) -> AsyncIterator[ReconcilerLoops]:
    await house.directory.load()
    supervisor, loops = Supervisor(), loops_of(house)
    loops.start(supervisor)
    async with supervisor.running():
        yield loops
    assert not any(loop.restarts for loop in supervisor.loops.values()), "a loop fell"
    assert not house.runtime.violations


@pytest.fixture
def house() -> House:
    return House()


async def done(house: House, operation: Operation) -> None:
    ended = await house.control.wait(operation.id, timeout_s=600)
    assert ended.status is Status.DONE, ended.error


async def test_what_is_asked_for_is_done(house: House) -> None:
    async with living(house):
        await done(house, await house.create())
        _, restart = await house.control.restart("alice", actor=SYSTEM)
        await done(house, restart)
        _, delete = await house.control.delete("alice", purge=True, actor=SYSTEM)
        await done(house, delete)
    assert not await house.runtime.all()
    assert asyncio.get_running_loop().time() < TICK_S, "events did it, not the tick"


async def test_work_that_was_left_is_found_at_the_start(house: House) -> None:
    operation = await house.create()
    house.start("two")
    async with living(house):
        await done(house, operation)


async def test_an_order_that_needs_no_step_is_answered_by_whoever_comes_after_the_one_who_took_it(house: House) -> None:
    async with living(house):
        await done(house, await house.create())
    _, wake = await house.control.wake("alice", actor=SYSTEM)  # and it died before it looked
    house.start("two")
    async with living(house):
        await done(house, wake)


@pytest.mark.parametrize("harm", ["by_hand_remove", "by_hand_stop", "by_hand_pause"])
async def test_what_somebody_did_by_hand_is_put_right(house: House, harm: str) -> None:
    async with living(house):
        await done(house, await house.create())
        getattr(house.runtime, harm)("alice")
        await asyncio.sleep(1)
        assert (await house.runtime.get("alice")).state is State.RUNNING
        assert (await house.tenant()).seen.ready


async def test_a_lost_event_is_made_up_for_by_the_tick(house: House) -> None:
    async with living(house) as loops:
        await done(house, await house.create())
        instance = await house.runtime.get("alice")
        house.runtime._instances.pop("alice")  # without a word
        assert instance.state is State.RUNNING
        await asyncio.sleep(TICK_S + 1)
        assert (await house.runtime.get("alice")).state is State.RUNNING
        assert await loops.tick() == 0


async def test_a_runtime_that_comes_back_is_looked_at_at_once(house: House) -> None:
    async with living(house):
        house.runtime.down = True
        operation = await house.create()
        await asyncio.sleep(300)
        assert not (await house.control.operation(operation.id)).status.ended
        house.runtime.down = False
        before = asyncio.get_running_loop().time()
        await done(house, operation)
        assert asyncio.get_running_loop().time() - before < 5


async def test_failures_are_tried_again_later_and_later(house: House) -> None:
    async with living(house):
        house.runtime.faults[Call.CREATE].extend(Fault(mishap=Mishap.BEFORE) for _ in range(6))
        await done(house, await house.create())
        assert house.runtime.calls[Call.CREATE] == 7


async def test_many_tenants_at_once(house: House) -> None:
    async with living(house):
        operations = [await house.create(f"tenant-{number}") for number in range(50)]
        for operation in operations:
            await done(house, operation)
    assert house.runtime.calls[Call.CREATE] == house.runtime.calls[Call.START] == 50


async def test_two_control_planes_on_one_store_do_each_piece_of_work_once(house: House) -> None:
    async with living(house):
        first_control = house.control
        house.start("two")
        async with living(house):
            operations = [await house.create(f"tenant-{number}") for number in range(20)]
            for operation in operations:
                ended = await first_control.wait(operation.id, timeout_s=600)
                assert ended.status is Status.DONE
            await asyncio.sleep(3 * TICK_S)
    assert house.runtime.calls[Call.CREATE] == house.runtime.calls[Call.START] == 20


async def test_an_orphan_of_a_deleted_tenant_is_removed_and_a_strangers_reported_only(house: House) -> None:
    gone: list[Event] = []
    async with living(house) as loops:
        await done(house, await house.create())
        blueprint = house.runtime.blueprints["alice"]
        house.bus.on_event(gone.append)
        _, delete = await house.control.delete("alice", purge=True, actor=SYSTEM)
        await done(house, delete)
        assert any(isinstance(event, TenantGone) for event in gone)
        # A control plane that slept through all this wakes up and finishes its create.
        await house.runtime.create(blueprint)
        await loops.tick()
        assert await house.runtime.all(), "once may be a create whose rows are just being written"
        await loops.tick()
        assert not await house.runtime.all()


async def test_an_instance_of_a_tenant_never_heard_of_is_left_alone(house: House) -> None:
    async with living(house) as loops:
        await done(house, await house.create())
        tenant = await house.tenant()
        async with house.store.begin() as tx:
            await tx.drop_tenant("alice", tenant.id)
        await house.directory.load()
        for _ in range(3):
            await loops.tick()
        assert [instance.tenant for instance in await house.runtime.all()] == ["alice"]


async def test_a_tick_over_settled_tenants_asks_the_runtime_once(house: House) -> None:
    async with living(house) as loops:
        for operation in [await house.create(f"tenant-{number}") for number in range(20)]:
            await done(house, operation)
        await asyncio.sleep(TICK_S)
        before = house.runtime.calls.copy()
        assert await loops.tick() == 0
        assert house.runtime.calls - before == {Call.ALL: 1}
        instances = {instance.tenant: instance for instance in await house.runtime.all()}
        assert unsettled(house.directory, instances, house.clock.now()) == []
