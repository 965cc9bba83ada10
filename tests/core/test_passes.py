"""What let somebody in, looked up again after something was revoked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from innkeeper.core.access import ADMIN, Actor, ActorKind, TenantRole
from innkeeper.core.callers import Pass
from innkeeper.core.identity import Claims
from innkeeper.core.passes import Passes, pass_of
from innkeeper.core.people import Session
from innkeeper.core.signing_in import Visitor
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Access
from innkeeper.core.tokens import TokenWish
from tests.support.house import House

VISITOR = Visitor(address=None, browser="test")
PASSWORD = "correct horse battery"


@pytest.fixture
async def house() -> House:
    house = House()
    await house.create("alice")
    await house.people.users.create("ann@example.com", password=PASSWORD, actor=ADMIN)
    await house.people.members.put("alice", "ann@example.com", TenantRole.MEMBER, actor=ADMIN)
    return house


def passes(house: House) -> Passes:
    return Passes(directory=house.directory, identities=house.identities, clock=house.clock)


async def session_of(house: House) -> tuple[Session, Actor]:
    session, _ = await house.people.signing_in.with_password("ann@example.com", PASSWORD, visitor=VISITOR)
    found = house.identities.session(session.id)
    assert found is not None
    return found


async def test_a_key_is_good_until_it_is_revoked_or_runs_out(house: House) -> None:
    key, _ = await house.keys.create("alice", "one", actor=ADMIN)
    soon = house.clock.now() + timedelta(hours=1)
    short, _ = await house.keys.create("alice", "two", expires_at=soon, actor=ADMIN)
    still = passes(house).still
    assert still(pass_of(key.actor(), "alice"))
    assert still(pass_of(short.actor(), "alice"))
    house.clock.turn(3601)
    assert not still(pass_of(short.actor(), "alice"))
    await house.keys.revoke("alice", key.id, actor=ADMIN)
    assert not still(pass_of(key.actor(), "alice"))
    assert not still(Pass(f"key:{short.id}", "nobody"))


@pytest.mark.parametrize("how", ["signed out", "no member", "disabled", "deleted", "keys only", "time"])
async def test_a_session_is_good_for_as_long_as_it_would_let_in(house: House, how: str) -> None:
    session, actor = await session_of(house)
    given = pass_of(actor, "alice", session)
    assert passes(house).still(given)
    people = house.people
    match how:
        case "signed out":
            await people.signing_in.end(session.id, actor=ADMIN, own=False)
        case "no member":
            await people.members.drop("alice", "ann@example.com", actor=ADMIN)
        case "disabled":
            await people.users.change("ann@example.com", {"disabled": True}, actor=ADMIN)
        case "deleted":
            await people.users.delete("ann@example.com", actor=ADMIN)
        case "keys only":
            await house.control.update("alice", SpecPatch(access=Access.KEY), actor=ADMIN)
        case "time":
            house.clock.turn(3601)
    assert not passes(house).still(given)


async def test_a_token_and_a_viewer(house: House) -> None:
    wish = TokenWish(name="bot", tenant="alice", tenant_role=TenantRole.MEMBER)
    token, _ = await house.people.tokens.create(wish, actor=ADMIN)
    given = pass_of(token.actor(None), "alice")
    assert passes(house).still(given)
    await house.people.tokens.revoke(token.id, actor=ADMIN, own=False)
    assert not passes(house).still(given)

    session, actor = await session_of(house)
    await house.people.members.put("alice", "ann@example.com", TenantRole.VIEWER, actor=ADMIN)
    assert not passes(house).still(pass_of(actor, "alice", session))


async def test_an_outside_token_is_good_until_it_runs_out_or_its_user_is_disabled(house: House) -> None:
    until = house.clock.now().timestamp() + 60
    claims = Claims(issuer="https://i.example", subject="s", expires_at=until, tenants={"alice": "member"})
    stranger = house.identities.issued(claims)
    assert stranger is not None
    assert passes(house).still(pass_of(stranger, "alice"))

    user = await house.people.users.find("ann@example.com")
    async with house.store.begin() as tx:
        await tx.people.put_user(replace(user, issuer="https://i.example", subject="s"))
    await house.identities.load()
    known = house.identities.issued(claims)
    assert known is not None
    assert (known.kind, known.user) == (ActorKind.ISSUED, user.id)
    assert passes(house).still(pass_of(known, "alice"))
    await house.people.users.change(user.id, {"disabled": True}, actor=ADMIN)
    assert house.identities.issued(claims) is None
    assert not passes(house).still(pass_of(known, "alice"))
    house.clock.turn(61)
    assert not passes(house).still(pass_of(stranger, "alice"))


@pytest.mark.parametrize("how", ["dropped", "demoted"])
@pytest.mark.parametrize("says", [{}, {"alice": "owner"}])
async def test_an_outside_token_lets_in_no_longer_than_its_users_membership(
    house: House, how: str, says: dict[str, str]
) -> None:
    user = await house.people.users.find("ann@example.com")
    async with house.store.begin() as tx:
        await tx.people.put_user(replace(user, issuer="https://i.example", subject="s"))
    await house.identities.load()
    until = house.clock.now().timestamp() + 60
    actor = house.identities.issued(Claims(issuer="https://i.example", subject="s", expires_at=until, tenants=says))
    assert actor is not None
    given = pass_of(actor, "alice")
    assert passes(house).still(given)
    if how == "dropped":
        await house.people.members.drop("alice", user.id, actor=ADMIN)
    else:
        await house.people.members.put("alice", user.id, TenantRole.VIEWER, actor=ADMIN)
    assert passes(house).still(given) is (how == "dropped" and bool(says)), "what is said here counts first"


async def test_the_admin_stays(house: House) -> None:
    assert passes(house).still(pass_of(ADMIN, "alice"))
    assert not passes(house).still(Pass("nonsense", "alice"))
