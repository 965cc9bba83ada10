"""Holding a tenant still: who is asked, who is frozen and for how long, and that everybody thaws."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.activate import is_open
from innkeeper.core.errors import AgentBusy, RuntimeUnavailable, StaleLease, TenantNotReady, UnknownTenant
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import LEASE_FOR
from innkeeper.core.reconcile import Held
from innkeeper.core.stillness import LEASE_S, Stillness
from innkeeper.core.stillness_errors import FrozenTooLong
from innkeeper.runtimes.memory_faults import Call, Fault, Mishap
from tests.support.house import House

pytestmark = pytest.mark.looptime


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


def stillness(house: House, holder: str = "one") -> Stillness:
    return Stillness(
        store=house.store,
        runtime=house.runtime,
        suspensions=house.dormitory.suspensions,
        bus=house.bus,
        clock=house.clock,
        holder=holder,
        hurry=house.queue.add,
    )


async def state(house: House) -> State:
    return (await house.runtime.get("alice")).state


async def test_who_runs_is_asked_frozen_thawed_and_told_to_go_on(house: House) -> None:
    async with stillness(house).of("alice", patience_s=10) as still:
        assert await state(house) is State.PAUSED
        tenant = await house.tenant()
        assert (tenant.seen.state, tenant.seen.ready, tenant.seen.suspension) == (State.RUNNING, True, "paused:nap")
        assert not is_open(tenant), "whoever comes waits at the gate"
        assert house.directory.tenant("alice") == tenant
        with pytest.raises(Held):
            await house.settle()
    assert (still.was, still.consented) == (State.RUNNING, True)
    assert still.frozen_s is not None
    assert await state(house) is State.RUNNING
    assert is_open(await house.tenant())
    assert house.prober.paths == ["/suspend", "/resume"]
    assert await house.queue.get() == "alice", "it is looked at again at once"
    steps = len(house.runtime.journal)
    await house.settle()
    assert len(house.runtime.journal) == steps, "and nothing is left to do"


@pytest.mark.parametrize("tier", ["pause", "stop"])
async def test_a_sleeper_sleeps_on_and_isnt_woken_meanwhile(house: House, tier: str) -> None:
    await house.control.sleep("alice", tier, actor=SYSTEM)
    await house.settle()
    before, house.prober.paths[:] = await house.tenant(), []
    async with stillness(house).of("alice", patience_s=0) as still:
        await house.rungs.rouse("alice")
        with pytest.raises(Held):
            await house.settle()
    assert (still.was, still.consented, still.frozen_s) == (before.seen.state, True, None)
    assert await state(house) is before.seen.state
    assert house.prober.paths == []
    await house.settle()
    assert is_open(await house.tenant())


async def test_who_objects_goes_on_and_is_asked_again(house: House) -> None:
    house.prober.answer = (200, b"it drains")

    async def comes_to_rest() -> None:
        await asyncio.sleep(3)
        assert (await house.tenant()).seen.suspension is None, "between two questions it takes work"
        house.prober.answer = (200, b"")

    resting = asyncio.create_task(comes_to_rest())
    async with stillness(house).of("alice", patience_s=30) as still:
        assert still.consented
    await resting
    assert house.runtime.calls[Call.PAUSE] == 1


async def test_patience_ends_with_its_reason_and_without_a_freeze(house: House) -> None:
    house.prober.answer = (200, b"it drains")
    with pytest.raises(AgentBusy, match="it drains"):
        async with stillness(house).of("alice", patience_s=30):
            raise AssertionError
    assert house.runtime.calls[Call.PAUSE] == 0
    assert is_open(await house.tenant())


async def test_who_objects_for_too_long_is_frozen_all_the_same_and_that_is_told(house: House) -> None:
    house.prober.answer = (200, b"it drains")
    async with stillness(house).of("alice", patience_s=60, without_consent_after_s=20) as still:
        assert await state(house) is State.PAUSED
    assert not still.consented
    assert is_open(await house.tenant())
    assert house.prober.paths[-1] == "/resume"


async def test_who_cant_be_asked_is_judged_by_its_connections(house: House) -> None:
    house.agent.can_be_asked = False
    house.calls["alice"] = 1
    with pytest.raises(AgentBusy, match="model call"):
        async with stillness(house).of("alice", patience_s=5):
            raise AssertionError
    async with stillness(house).of("alice", patience_s=5, without_consent_after_s=0) as still:
        assert is_open(await house.tenant()), "requests wait at its frozen door"
    assert not still.consented
    house.calls.clear()
    async with stillness(house).of("alice", patience_s=5) as still:
        pass
    assert still.consented


async def test_a_leave_that_ended_before_the_freeze_is_no_leave(house: House) -> None:
    house.agent.leave_until = house.clock.now()
    with pytest.raises(AgentBusy, match="leave was over"):
        async with stillness(house).of("alice", patience_s=0):
            raise AssertionError
    assert await state(house) is State.RUNNING
    assert is_open(await house.tenant())
    house.agent.leave_until = house.clock.now() + timedelta(seconds=60)
    async with stillness(house).of("alice", patience_s=0) as still:
        assert still.consented


async def test_who_is_worked_on_is_waited_for(house: House) -> None:
    lease = await house.store.claim("alice", holder="another", for_s=60)
    assert lease is not None
    with pytest.raises(TenantNotReady, match="worked on"):
        async with stillness(house).of("alice", patience_s=10):
            raise AssertionError

    async def ends() -> None:
        await asyncio.sleep(3)
        await house.store.release(lease)

    ending = asyncio.create_task(ends())
    async with stillness(house).of("alice", patience_s=10):
        assert await state(house) is State.PAUSED
    await ending


async def test_who_starts_is_waited_for(house: House) -> None:
    house.runtime.crash("alice")

    async def comes_up() -> None:
        await asyncio.sleep(3)
        await house.settle()

    coming = asyncio.create_task(comes_up())
    with pytest.raises(TenantNotReady, match="starting"):
        async with stillness(house).of("alice", patience_s=1):
            raise AssertionError
    async with stillness(house).of("alice", patience_s=10) as still:
        assert coming.done()
    assert (still.was, still.consented) == (State.RUNNING, True)


async def test_a_block_that_fails_thaws(house: House) -> None:
    with pytest.raises(ValueError, match="no space"):
        async with stillness(house).of("alice", patience_s=0):
            raise ValueError("no space")
    assert is_open(await house.tenant())
    assert await state(house) is State.RUNNING


async def test_a_block_that_is_cancelled_thaws(house: House) -> None:
    frozen = asyncio.Event()

    async def copy() -> None:
        async with stillness(house).of("alice", patience_s=0):
            frozen.set()
            await asyncio.Event().wait()

    copying = asyncio.create_task(copy())
    await frozen.wait()
    slow = Fault(mishap=Mishap.HANG)
    house.runtime.faults[Call.UNPAUSE].append(slow)
    copying.cancel()
    await slow.reached.wait()
    copying.cancel()  # somebody is impatient: it is thawed all the same
    slow.release.set()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert await state(house) is State.RUNNING


async def test_a_block_that_takes_too_long_is_cancelled(house: House) -> None:
    with pytest.raises(FrozenTooLong):
        async with stillness(house).of("alice", patience_s=0, at_most_s=5):
            await asyncio.Event().wait()
    assert is_open(await house.tenant())
    with pytest.raises(TimeoutError):
        async with stillness(house).of("alice", patience_s=0, at_most_s=5):
            raise TimeoutError("somebody else's")


@pytest.mark.parametrize("mishap", [Mishap.BEFORE, Mishap.AFTER])
async def test_a_freeze_that_may_have_happened_is_undone(house: House, mishap: Mishap) -> None:
    house.runtime.faults[Call.PAUSE].append(Fault(mishap=mishap))
    with pytest.raises(RuntimeUnavailable):
        async with stillness(house).of("alice", patience_s=0):
            raise AssertionError
    assert await state(house) is State.RUNNING
    assert is_open(await house.tenant())


async def test_a_thaw_that_fails_is_the_reconcilers(house: House) -> None:
    house.runtime.faults[Call.UNPAUSE].append(Fault(mishap=Mishap.BEFORE))
    async with stillness(house).of("alice", patience_s=0):
        pass
    assert await state(house) is State.PAUSED
    assert await house.queue.get() == "alice"
    await house.settle()
    assert await state(house) is State.RUNNING
    assert is_open(await house.tenant())
    assert house.prober.paths[-1] == "/resume"


@pytest.mark.parametrize("can_be_asked", [True, False])
async def test_after_a_death_in_between_the_next_process_thaws_it(house: House, can_be_asked: bool) -> None:
    house.agent.can_be_asked = can_be_asked
    copying = asyncio.create_task(_frozen_for_ever(house))
    await asyncio.sleep(1)
    assert await state(house) is State.PAUSED
    # Nothing of it runs any more: whatever it would do now it doesn't.
    with suppress(Death):
        house.runtime.faults[Call.UNPAUSE].append(Fault(mishap=Mishap.BEFORE, error=Death))
        copying.cancel()
        await copying
    assert await state(house) is State.PAUSED
    house.clock.turn(LEASE_S + 1)
    house.start("two")
    await house.directory.load()
    assert await house.loops().tick() == 1, "the first look finds it"
    await house.settle()
    assert await state(house) is State.RUNNING
    assert is_open(await house.tenant())


async def _frozen_for_ever(house: House) -> None:
    async with stillness(house).of("alice", patience_s=0):
        await asyncio.Event().wait()


async def test_who_loses_the_lease_stops_copying_and_leaves_nobody_frozen(house: House) -> None:
    async def copy() -> None:
        async with stillness(house).of("alice", patience_s=0):
            house.clock.turn(LEASE_FOR.total_seconds())
            assert await house.store.claim("alice", holder="another", for_s=30) is not None
            await asyncio.sleep(LEASE_S)

    with pytest.raises(StaleLease):
        await copy()
    assert await state(house) is State.RUNNING


async def test_two_at_once_come_one_after_the_other(house: House) -> None:
    under_way = 0

    async def copy() -> None:
        nonlocal under_way
        async with stillness(house).of("alice", patience_s=60):
            under_way += 1
            assert under_way == 1
            await asyncio.sleep(1)
            under_way -= 1

    await asyncio.gather(copy(), copy(), copy())
    assert not house.runtime.violations


async def test_nobody_else_acts_on_it_meanwhile(house: House) -> None:
    pager = house.dormitory.pager
    pager.trim_after = timedelta(0)
    house.clock.turn(1)
    async with stillness(house).of("alice", patience_s=0):
        house.clock.turn(LEASE_S / 2)
        assert pager.page_out() == []
        assert await pager.trim() == []
        assert house.runtime.calls[Call.PAGE_OUT] == 0
        house.wire.bytes_at.add("here")
        house.addresses["here"] = "alice"
        await house.dormitory.watcher.look()
        await house.rungs.rest("alice", Rung.PAGED)
        assert pager.page_out() == []
        await house.rungs.rouse("alice")
        assert await house.loops().tick() == 1
        with pytest.raises(Held):
            await house.settle()
        assert await state(house) is State.PAUSED
    assert await state(house) is State.RUNNING
    house.wire.bytes_at.clear()
    house.clock.turn(LEASE_S)
    await house.dormitory.watcher.look()
    assert await pager.trim() == ["alice"], "who isn't frozen is trimmed"


async def test_nobody_is_nobody(house: House) -> None:
    with pytest.raises(UnknownTenant):
        async with stillness(house).of("bob", patience_s=10):
            raise AssertionError
