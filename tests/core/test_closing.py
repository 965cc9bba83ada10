"""A closed tenant comes down, stays down whatever happens, and comes up again as another instance."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.closing import Closing
from innkeeper.core.errors import Conflict, TenantNotReady, UnknownTenant
from innkeeper.core.instance import State
from innkeeper.core.operations import OperationKind, Status, work_ended
from innkeeper.core.tenant import Tenant
from innkeeper.core.works import Works
from innkeeper.loops.supervise import Supervisor
from tests.support.house import House

pytestmark = pytest.mark.looptime


@pytest.fixture
async def house() -> House:
    return House()


def closing_of(house: House) -> Closing:
    return Closing(store=house.store, runtime=house.runtime, bus=house.bus)


async def tenant_of(house: House) -> Tenant:
    async with house.store.look() as tx:
        tenant = await tx.tenant("alice")
    assert tenant is not None
    return tenant


async def test_it_comes_down_stays_down_and_comes_up_anew(house: House) -> None:
    closing, supervisor = closing_of(house), Supervisor()
    await house.directory.load()
    house.loops(tick_s=30, workers=2).start(supervisor)
    async with supervisor.running():
        await house.control.wait((await house.create()).id, timeout_s=60)
        before = await tenant_of(house)
        closed = await closing.close("alice", "op_1")
        await closing.until_down(closed, timeout_s=60)
        _, wake = await house.control.wake("alice", actor=SYSTEM)
        await asyncio.sleep(120)
        assert (await house.runtime.get("alice")).state is State.ABSENT, "a wake and ticks don't open it"
        waiting = await house.control.operation(wake.id)
        assert not waiting.status.ended, "nobody is told that it is up"
        assert await closing.reopen("alice", "op_2") is None, "another's"
        opened = await closing.reopen("alice", "op_1", new_tokens=True, fenced=True)
        assert (await house.control.wait(wake.id, timeout_s=60)).status is Status.DONE
        assert await closing.reopen("alice", "op_1") is None, "done again it does nothing"
    assert opened is not None
    assert (opened.closed, opened.fenced, opened.token_epoch) == (None, True, before.token_epoch + 1)
    assert (await house.runtime.get("alice")).revision == opened.revision > before.revision


async def test_one_operation_at_a_time_has_it(house: House) -> None:
    await house.create()
    closing, works = closing_of(house), Works(store=house.store, bus=house.bus, clock=house.clock)
    began = await works.begin(OperationKind.RESTORE, "alice", actor=SYSTEM)
    await closing.close("alice", began.id)
    assert (await closing.close("alice", began.id)).closed == began.id
    with pytest.raises(Conflict):
        await closing.close("alice", "op_2")
    async with house.store.begin() as tx:
        await tx.put_operation(work_ended(began, house.clock.now()))
    assert (await closing.close("alice", "op_2")).closed == "op_2", "one that ended and left it closed doesn't have it"


async def test_one_that_goes_isnt_closed_and_a_closed_one_can_go(house: House) -> None:
    closing, supervisor = closing_of(house), Supervisor()
    await house.directory.load()
    await house.create()
    await closing.close("alice", "op_1")
    _, delete = await house.control.delete("alice", purge=True, actor=SYSTEM)
    with pytest.raises(UnknownTenant):
        await closing.close("alice", "op_2")
    house.loops(tick_s=30, workers=2).start(supervisor)
    async with supervisor.running():
        assert (await house.control.wait(delete.id, timeout_s=60)).status is Status.DONE


async def test_one_that_doesnt_come_down_is_told_of(house: House) -> None:
    await house.create()
    await house.settle("alice")
    closed = await closing_of(house).close("alice", "op_1")  # and nobody is at work
    with pytest.raises(TenantNotReady):
        await closing_of(house).until_down(closed, timeout_s=30)
