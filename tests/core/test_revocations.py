"""What was revoked shortly before a start, told by the trail."""

from __future__ import annotations

import pytest

from innkeeper.core.access import ADMIN, TenantRole
from innkeeper.core.revocations import revoked_lately
from tests.support.house import House


@pytest.fixture
async def house() -> House:
    """Ann is a member of Alice's, since just now."""
    house = House()
    await house.create("alice")
    await house.people.users.create("ann@example.com", actor=ADMIN)
    await house.people.members.put("alice", "ann@example.com", TenantRole.MEMBER, actor=ADMIN)
    return house


async def test_a_new_member_has_lost_nothing(house: House) -> None:
    assert not await revoked_lately(house.store, house.clock)


@pytest.mark.parametrize("how", ["demoted", "dropped", "disabled", "deleted"])
async def test_whoever_lost_something_is_known_for_a_while(house: House, how: str) -> None:
    match how:
        case "demoted":
            await house.people.members.put("alice", "ann@example.com", TenantRole.VIEWER, actor=ADMIN)
        case "dropped":
            await house.people.members.drop("alice", "ann@example.com", actor=ADMIN)
        case "disabled":
            await house.people.users.change("ann@example.com", {"disabled": True}, actor=ADMIN)
        case "deleted":
            await house.people.users.delete("ann@example.com", actor=ADMIN)
    assert await revoked_lately(house.store, house.clock)
    house.clock.turn(300)
    assert not await revoked_lately(house.store, house.clock)


async def test_a_crash_may_have_been_long_ago(house: House) -> None:
    """Caddy outlives the control plane, and so does what was open."""
    severed_at = house.clock.now()
    house.clock.turn(60)
    await house.people.members.drop("alice", "ann@example.com", actor=ADMIN)
    house.clock.turn(3600)
    assert await revoked_lately(house.store, house.clock, severed_at=severed_at)
    assert not await revoked_lately(house.store, house.clock, severed_at=house.clock.now())
