"""The reconciler on a bad day: crash loops, strangers, missing images, rivals, leases that are lost."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import ForeignInstance, ImageMissing, RuntimeFault, StaleLease
from innkeeper.core.events import StateChanged, TenantGone
from innkeeper.core.instance import State
from innkeeper.core.operations import FAULTS_TOLERATED, Operation, Status
from innkeeper.core.plan import CRASHES
from innkeeper.core.ports import LEASE_FOR
from innkeeper.core.reconcile import Held
from innkeeper.core.tenant import Wanted
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House


@pytest.fixture
def house() -> House:
    return House()


async def up(house: House) -> None:
    await house.create()
    await house.settle()


async def operation(house: House, begun: Operation) -> Operation:
    return await house.control.operation(begun.id)


async def test_a_tenant_is_provisioned_step_by_step(house: House) -> None:
    begun = await house.create()
    assert begun.status is Status.QUEUED
    await house.settle()
    tenant = await house.tenant()
    assert (tenant.seen.state, tenant.seen.ready) == (State.RUNNING, True)
    assert (await operation(house, begun)).status is Status.DONE
    assert [deed.call for deed in house.runtime.journal] == [Call.CREATE, Call.START]
    assert house.units.folders["alice"]["plain.json"] == f"gateway-{tenant.id}-1".encode()
    states = [event.now.seen.state for event in house.happened if isinstance(event, StateChanged)]
    assert states == [State.STOPPED, State.STARTING, State.RUNNING]


async def test_a_slow_agent_is_asked_until_it_is_ready(house: House) -> None:
    await house.create()
    answers = iter([None, (503, b""), (200, b"{}")])

    async def ask(address: str, probe: object) -> tuple[int, bytes] | None:
        return next(answers)

    house.prober.ask = ask  # type: ignore[method-assign]
    await house.settle()
    assert (await house.tenant()).seen.ready


async def test_an_agent_that_never_becomes_ready_is_told_of(house: House) -> None:
    begun = await house.create()
    house.prober.answer = None

    async def work() -> None:
        while True:
            try:
                return await house.settle()
            except NotYet as wait:
                house.clock.turn(wait.again_s)
                await asyncio.sleep(0)

    working = asyncio.create_task(work())
    ended = await house.control.wait(begun.id, timeout_s=30)
    assert ended.status is Status.FAILED
    trouble = ended.error
    assert trouble is not None
    assert trouble.code == "tenant_not_ready"
    assert "60 s without becoming ready" in ((await house.tenant()).seen.error or "")
    house.prober.answer = (200, b"")
    await working
    assert (await house.tenant()).seen.error is None


async def test_five_crashes_fail_the_tenant_with_its_last_words(house: House) -> None:
    await up(house)
    house.runtime.say("alice", "fatal: no such model")
    for _ in range(CRASHES):
        house.runtime.crash("alice", exit_code=3)
        await house.settle()
    tenant = await house.tenant()
    assert tenant.seen.state is State.FAILED
    assert "ended with 3" in (tenant.seen.error or "")
    assert "fatal: no such model" in (tenant.seen.error or "")
    assert (await house.runtime.get("alice")).state is State.STOPPED
    assert not house.runtime.violations


async def test_four_crashes_are_survived(house: House) -> None:
    await up(house)
    for _ in range(CRASHES - 1):
        house.runtime.crash("alice")
        await house.settle()
    assert (await house.tenant()).seen.ready


async def test_a_config_error_is_not_restarted_over_and_over(house: House) -> None:
    await up(house)
    house.runtime.crash("alice", exit_code=78)
    await house.settle()
    assert (await house.tenant()).seen.state is State.FAILED


async def test_whoever_waits_for_a_tenant_that_fails_hears_of_it(house: House) -> None:
    begun = await house.create()
    house.prober.answer = None
    crashes = 0

    async def nap(seconds: float) -> None:
        nonlocal crashes
        house.clock.turn(1)
        crashes += 1
        house.runtime.crash("alice", exit_code=9)

    await house.reconciler.work("alice", nap)
    ended = await operation(house, begun)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert ended.error.code == "tenant_failed"
    assert crashes == CRASHES


async def test_a_restart_gives_a_failed_tenant_another_chance(house: House) -> None:
    await test_five_crashes_fail_the_tenant_with_its_last_words(house)
    await house.control.restart("alice", actor=SYSTEM)
    await house.settle()
    tenant = await house.tenant()
    assert tenant.seen.ready
    assert tenant.seen.error is None
    assert tenant.seen.crashes == ()


async def test_a_strangers_instance_is_a_clear_error_and_left_alone(house: House) -> None:
    house.runtime.foreign.add("alice")
    begun = await house.create()
    with pytest.raises(ForeignInstance):
        await house.settle()
    ended = await operation(house, begun)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert ended.error.code == "foreign_instance"
    assert not house.runtime.journal
    house.runtime.foreign.clear()
    await house.settle()
    assert (await house.tenant()).seen.ready, "once the stranger has gone it converges"


async def test_a_missing_image_ends_the_operation_and_a_rebuilt_one_ends_the_trouble(house: House) -> None:
    begun = await house.create()
    house.runtime.missing_images.add("sha256:1.0")
    with pytest.raises(ImageMissing):
        await house.settle()
    assert (await operation(house, begun)).status is Status.FAILED
    house.runtime.missing_images.clear()
    await house.settle()
    assert (await house.tenant()).seen.ready


async def test_a_runtime_fault_is_tolerated_a_few_times(house: House) -> None:
    begun = await house.create()
    for failures in range(FAULTS_TOLERATED + 1):
        fault = Fault(mishap=Mishap.BEFORE, error=lambda: RuntimeFault("the Engine said no"))
        house.runtime.faults[Call.CREATE].append(fault)
        assert (await operation(house, begun)).status is not Status.FAILED
        with pytest.raises(RuntimeFault):
            await house.reconciler.work("alice", house.nap, failures=failures)
    ended = await operation(house, begun)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert ended.error.message == "the Engine said no"


async def test_a_runtime_that_is_down_at_create_is_waited_for(house: House) -> None:
    await house.record_release()
    house.runtime.down = True
    begun = await house.create()
    with pytest.raises(Exception, match="not to answer"):
        await house.settle()
    held_up = await operation(house, begun)
    assert not held_up.status.ended
    assert held_up.error is not None
    assert held_up.error.code == "runtime_unavailable"
    house.runtime.down = False
    await house.settle()
    assert (await operation(house, begun)).status is Status.DONE


async def test_two_control_planes_never_work_on_one_tenant(house: House) -> None:
    await house.create()
    rival = house.make_reconciler("two")
    hang = Fault(mishap=Mishap.HANG)
    house.runtime.faults[Call.CREATE].append(hang)
    working = asyncio.create_task(house.settle())
    await hang.reached.wait()
    with pytest.raises(Held):
        await rival.work("alice", house.nap)
    hang.release.set()
    await working
    await rival.work("alice", house.nap)
    assert not house.runtime.violations
    assert house.runtime.calls[Call.CREATE] == 1


async def test_a_lease_that_was_lost_ends_the_work_at_once(house: House) -> None:
    await house.create()
    hang = Fault(mishap=Mishap.HANG)
    house.runtime.faults[Call.START].append(hang)
    working = asyncio.create_task(house.settle())
    await hang.reached.wait()
    house.clock.turn(LEASE_FOR.total_seconds() + 1)
    stolen = await house.store.claim("alice", holder="two", for_s=30)
    assert stolen is not None
    hang.release.set()
    with pytest.raises(StaleLease):
        await working
    assert (await house.tenant()).seen.state is not State.RUNNING, "the loser wrote nothing"


async def test_a_delete_keeps_the_folder_and_a_purge_doesnt(house: House) -> None:
    for purge in (False, True):
        await house.create()
        await house.settle()
        _, begun = await house.control.delete("alice", purge=purge, actor=SYSTEM)
        await house.settle()
        assert (await operation(house, begun)).status is Status.DONE
        assert not await house.runtime.all()
        assert ("alice" in house.units.folders) is not purge
        async with house.store.look() as tx:
            assert await tx.tenants() == []
            assert [entry.action for _, entry in await tx.trail(tenant="alice")][-1] == "tenant.erased"
        house.units.folders.clear()
    assert sum(isinstance(event, TenantGone) for event in house.happened) == 2


async def test_a_delete_overtakes_a_provision_that_waits(house: House) -> None:
    begun = await house.create()
    house.prober.answer = None

    async def nap(seconds: float) -> None:
        if (await house.tenant()).wanted is not Wanted.GONE:
            await house.control.delete("alice", purge=False, actor=SYSTEM)

    await house.reconciler.work("alice", nap)
    superseded = await operation(house, begun)
    assert superseded.status is Status.FAILED
    assert superseded.error is not None
    assert superseded.error.code == "superseded"
    assert not await house.runtime.all()


async def test_an_instance_of_a_former_tenant_of_the_name_is_replaced(house: House) -> None:
    await up(house)
    former = await house.tenant()
    async with house.store.begin() as tx:
        await tx.drop_tenant("alice", former.id)
    house.units.folders.clear()
    await house.create()
    await house.settle()
    assert (await house.runtime.get("alice")).tenant_id == (await house.tenant()).id != former.id


async def test_work_on_a_tenant_that_is_gone_does_nothing(house: House) -> None:
    await house.settle("nobody")
    assert not house.runtime.calls
