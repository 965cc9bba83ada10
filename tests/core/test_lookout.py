"""Who of the house enters a tenant, told to the trail."""

from __future__ import annotations

import pytest

from innkeeper.core.access import Actor, ActorKind, Role, TenantRole
from innkeeper.core.denials import Denials
from innkeeper.core.lookout import Lookout
from tests.support.house import House


@pytest.mark.parametrize(
    ("role", "part", "told"),
    [
        (Role.OPERATOR, None, True),
        (Role.OPERATOR, TenantRole.VIEWER, True),
        (Role.OPERATOR, TenantRole.MEMBER, False),
        (None, TenantRole.MEMBER, False),
    ],
)
async def test_a_visit_is_told_unless_a_membership_lets_in(
    role: Role | None, part: TenantRole | None, told: bool
) -> None:
    house = House()
    await house.create("alice")
    denials = Denials(store=house.store, directory=house.directory, clock=house.clock)
    tenants = {"alice": part} if part else {}
    actor = Actor(kind=ActorKind.USER, id="usr_1", role=role, tenants=tenants)
    Lookout(denials=denials, clock=house.clock).entered(actor, await house.tenant(), address="192.0.2.7")
    await denials.write()
    async with house.store.look() as tx:
        lines = [line for _, line in await tx.trail(limit=100) if line.action == "tenant.entered"]
    assert [line.address for line in lines] == (["192.0.2.7"] if told else [])
