"""Where an agent takes webhooks is known soon after it is ready, stays known while it sleeps, and changes with it."""

from __future__ import annotations

import asyncio

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import UnitFault
from innkeeper.core.instance import State
from innkeeper.core.openings import InboxPath
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Tenant
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.webhooks import Webhooks
from tests.support.house import House

pytestmark = pytest.mark.looptime

TELEGRAM = InboxPath(path="/telegram", id="json:update_id", port=8787)
OTHER = InboxPath(path="/other")


def loops_of(house: House) -> Supervisor:
    """A reconciler and a look at the configs."""

    async def read(tenant: Tenant) -> tuple[InboxPath, ...]:
        if tenant.name == "broken":
            raise UnitFault("It can't be read.")
        return await house.seating.webhooks(tenant)

    supervisor = Supervisor()
    house.loops().start(supervisor)
    Webhooks(
        store=house.store, directory=house.directory, webhooks=read, bus=house.bus, holder="webhooks", look_every_s=15
    ).start(supervisor)
    return supervisor


async def test_it_is_known_soon_after_the_agent_is_ready_and_while_it_sleeps() -> None:
    house = House()
    house.agent.takes = (TELEGRAM,)
    async with loops_of(house).running():
        await house.create("broken")
        operation = await house.create()
        await house.control.wait(operation.id, timeout_s=30)
        await asyncio.sleep(2)
        tenant = house.directory.tenant("alice")
        assert tenant is not None
        assert tenant.seen.webhooks == (TELEGRAM,)
        assert tenant.openings is not None
        assert tenant.openings.inbox_at(b"POST", b"/telegram") == TELEGRAM

        for sleep in (
            house.control.sleep("alice", "pause", actor=SYSTEM),
            house.control.sleep("alice", "stop", actor=SYSTEM),
        ):
            _, operation = await sleep
            await house.control.wait(operation.id, timeout_s=30)
            assert (await house.tenant()).seen.webhooks == (TELEGRAM,)
        assert (await house.tenant()).seen.state is State.STOPPED


async def test_a_user_sets_a_channel_up_and_takes_it_out_again() -> None:
    house = House()
    supervisor = loops_of(house)
    async with supervisor.running():
        operation = await house.create()
        await house.control.wait(operation.id, timeout_s=30)
        for takes in ((TELEGRAM, OTHER), (OTHER,), ()):
            house.agent.takes = takes
            await asyncio.sleep(16)
            assert (await house.tenant()).seen.webhooks == takes
    assert not any(loop.restarts for loop in supervisor.loops.values())


async def test_the_spec_wins_where_both_name_a_path() -> None:
    house = House()
    house.agent.takes = (TELEGRAM, OTHER)
    async with loops_of(house).running():
        own = InboxPath(path="/telegram", id="none", port=9000)
        operation = await house.create(patch=SpecPatch(inbox=(own,)))
        await house.control.wait(operation.id, timeout_s=30)
        await asyncio.sleep(2)
        openings = (await house.tenant()).openings
        assert openings is not None
        assert openings.inbox_path("/telegram") == own
        assert openings.inbox_path("/other") == OTHER


async def test_a_tenant_that_somebody_works_on_is_left_alone() -> None:
    house = House()
    async with loops_of(house).running():
        operation = await house.create()
        await house.control.wait(operation.id, timeout_s=30)
        await asyncio.sleep(1)
        lease = await house.store.claim("alice", holder="somebody", for_s=60)
        assert lease is not None
        house.agent.takes = (TELEGRAM,)
        await asyncio.sleep(20)
        assert (await house.tenant()).seen.webhooks == ()
        await house.store.release(lease)
        await asyncio.sleep(1)
        assert (await house.tenant()).seen.webhooks == (TELEGRAM,)
