"""Room for drills: behind every tenant, and in memory that is left over."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from innkeeper.core.boarding import NotYet
from innkeeper.core.drill_berth import DrillBerth
from tests.support.house import House

pytestmark = pytest.mark.looptime


async def test_memory_that_is_promised_to_a_drill_is_nobody_elses_until_it_leaves() -> None:
    house = House()
    house.memory.found = replace(house.memory.found, available_mb=1000)
    berth = DrillBerth(house.dormitory.boarding)
    await berth.admit("op_1_a", 600)
    await berth.admit("op_1_a", 600)
    with pytest.raises(NotYet, match="600 MB"):
        await berth.admit("op_2_a", 600)
    berth.leave("op_1_a")
    await berth.admit("op_2_a", 600)


async def test_nobody_is_put_to_sleep_for_one() -> None:
    house = House()
    await house.create()
    house.memory.found = replace(house.memory.found, available_mb=10)
    with pytest.raises(NotYet):
        await DrillBerth(house.dormitory.boarding).admit("op_1_a", 600)
    assert (await house.control.tenant("alice")).rung == "running"


async def test_it_starts_when_no_tenant_waits_to() -> None:
    house = House()
    turnstile, berth = house.dormitory.turnstile, DrillBerth(house.dormitory.boarding)
    while turnstile.enter(name := f"t{turnstile.starting}"):
        pass
    waiting = asyncio.create_task(berth.turn("op_1_a"))
    await asyncio.sleep(5)
    turnstile.leave("t0")  # the one in line has it now
    await asyncio.sleep(5)
    assert not waiting.done()
    turnstile.leave(name)
    await asyncio.sleep(5)
    assert waiting.done()
    assert turnstile.starting >= 1
    berth.started("op_1_a")
    assert turnstile.waiting == 0


async def test_a_fenced_tenants_instance_is_started_with_the_fences_environment() -> None:
    house = House()
    await house.create()
    tenant = await house.control.tenant("alice")
    assert (await house.seating.blueprint(replace(tenant, fenced=True))).env == {"FENCED": "1"}
    assert (await house.seating.blueprint(tenant)).env == {}
