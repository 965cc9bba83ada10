"""API tokens: never more than their maker may, and gone when they are revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from innkeeper.core.access import (
    ADMIN,
    ALL_SCOPES,
    Action,
    Actor,
    ActorKind,
    Role,
    Scope,
    TenantKey,
    TenantRole,
    allow,
    digest,
)
from innkeeper.core.errors import Conflict, Forbidden, Invalid, KeyMadeBefore, UnknownTenant
from innkeeper.core.identity import Claims
from innkeeper.core.once import Once
from innkeeper.core.people_errors import UnknownToken
from innkeeper.core.tokens import TokenWish
from tests.support.house import House


@pytest.fixture
async def house() -> House:
    house = House()
    await house.create("alice")
    await house.create("bob")
    return house


async def signed_in(house: House, name: str = "ann", role: Role | None = None) -> Actor:
    """A user, as they come with a session of theirs."""
    user = await house.people.users.create(f"{name}@example.com", role=role, actor=ADMIN)
    await house.people.members.put("alice", user.id, TenantRole.MEMBER, actor=ADMIN)
    return Actor(kind=ActorKind.USER, id=user.id, user=user.id)


async def made(house: House, actor: Actor, **fields: object) -> tuple[str, Actor]:
    """The token's id, and whoever has it."""
    wish = TokenWish(**{"name": "bot", **fields})  # type: ignore[arg-type]
    token, secret = await house.people.tokens.create(wish, actor=actor)
    holder = house.identities.by_token(digest(secret))
    assert holder is not None
    return token.id, holder


async def test_a_users_token_may_what_they_may_and_no_more(house: House) -> None:
    ann = await signed_in(house)
    _, holder = await made(house, ann)
    assert (holder.kind, holder.user, holder.scopes) == (ActorKind.TOKEN, ann.id, ALL_SCOPES)
    assert allow(holder, Action.ENTER, "alice")
    assert not allow(holder, Action.ENTER, "bob")
    assert not allow(holder, Action.STEER, "alice")
    _, narrow = await made(house, ann, scopes=frozenset({Scope.READ}))
    assert allow(narrow, Action.LOOK, "alice")
    assert not allow(narrow, Action.ENTER, "alice")
    _, elsewhere = await made(house, ann, tenant="bob")
    assert not any(
        allow(elsewhere, action, name) for action in (Action.LOOK, Action.ENTER) for name in ("alice", "bob")
    )


async def test_a_token_follows_what_becomes_of_its_user(house: House) -> None:
    ann = await signed_in(house)
    token_id, _ = await made(house, ann)
    await house.people.members.drop("alice", ann.id, actor=ADMIN)
    holder = house.identities.token(token_id)
    assert holder is not None
    assert not allow(holder, Action.LOOK, "alice")
    await house.people.users.change(ann.id, {"disabled": True}, actor=ADMIN)
    assert house.identities.token(token_id) is None
    await house.people.users.change(ann.id, {"disabled": False}, actor=ADMIN)
    assert house.identities.token(token_id) is not None
    await house.people.users.delete(ann.id, actor=ADMIN)
    assert house.identities.token(token_id) is None


async def test_no_token_and_no_key_makes_a_token_of_its_users(house: House) -> None:
    ann = await signed_in(house)
    _, token = await made(house, ann)
    key = TenantKey(
        id="key_1", tenant="alice", tenant_id="t", name="", hint="", digest="", created_at=house.clock.now()
    )
    issued = house.identities.issued(Claims(issuer="https://id.example", subject="1", expires_at=2e9))
    assert issued is not None
    for maker in (token, key.actor(), issued, ADMIN):
        with pytest.raises(Invalid) as refusal:
            await house.people.tokens.create(TokenWish(name="child"), actor=maker)
        assert refusal.value.field == "role"


async def test_no_token_gets_more_scopes_than_its_maker(house: House) -> None:
    _, manager = await made(house, ADMIN, role=Role.ADMIN, scopes=frozenset({Scope.MANAGE, Scope.READ}))
    for scopes in (ALL_SCOPES, frozenset({Scope.OPERATE}), frozenset({Scope.READ, Scope.AUDIT})):
        with pytest.raises(Forbidden):
            await house.people.tokens.create(TokenWish(name="x", role=Role.ADMIN, scopes=scopes), actor=manager)
    _, child = await made(house, manager, role=Role.OPERATOR, scopes=frozenset({Scope.READ}))
    assert (child.role, child.scopes, child.user) == (Role.OPERATOR, frozenset({Scope.READ}), None)
    assert not allow(child, Action.CREATE, None)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"scopes": frozenset()}, Invalid),
        ({"tenant_role": TenantRole.OWNER}, Invalid),
        ({"role": Role.ADMIN, "tenant": "alice", "tenant_role": TenantRole.OWNER}, Invalid),
        ({"tenant": "nobody", "tenant_role": TenantRole.OWNER}, UnknownTenant),
        ({"tenant": "a\0", "tenant_role": TenantRole.OWNER}, UnknownTenant),
        ({"role": Role.ADMIN, "name": ""}, Invalid),
        ({"role": Role.ADMIN, "name": "a\nb"}, Invalid),
    ],
)
async def test_tokens_that_cannot_be(house: House, fields: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        await made(house, ADMIN, **fields)
    assert await house.people.tokens.all() == []


async def test_a_token_ends_at_its_time(house: House) -> None:
    now = house.clock.now()
    for moment in (now, now - timedelta(seconds=1), (now + timedelta(days=1)).replace(tzinfo=None)):
        with pytest.raises(Invalid):
            await made(house, ADMIN, role=Role.ADMIN, expires_at=moment)
    token_id, _ = await made(house, ADMIN, role=Role.ADMIN, expires_at=now + timedelta(seconds=60))
    house.clock.turn(59)
    assert house.identities.token(token_id) is not None
    house.clock.turn(1)
    assert house.identities.token(token_id) is None


async def test_one_revokes_ones_own_and_who_manages_users_anybodys(house: House) -> None:
    ann, bob = await signed_in(house), await signed_in(house, "bob")
    anns, _ = await made(house, ann)
    services, _ = await made(house, ADMIN, role=Role.AUDITOR)
    tokens = house.people.tokens
    for token_id, actor in ((anns, bob), (services, ann), (services, ADMIN)):
        with pytest.raises(UnknownToken):
            await tokens.revoke(token_id, actor=actor, own=True)
    await tokens.revoke(anns, actor=ann, own=True)
    await tokens.revoke(services, actor=ADMIN, own=False)
    assert house.identities.token(anns) is house.identities.token(services) is None
    assert await tokens.all() == []


async def test_a_users_tokens_are_their_own_to_list_and_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("innkeeper.core.tokens.TOKENS_MAX", 1)
    ann, bob = await signed_in(house), await signed_in(house, "bob")
    anns, _ = await made(house, ann)
    await made(house, bob)
    with pytest.raises(Conflict):
        await made(house, ann)
    assert [token.id for token in await house.people.tokens.all(user=ann.id)] == [anns]


async def test_the_same_request_makes_one_token_and_no_secret_is_kept(house: House) -> None:
    once = Once(key="k", fingerprint="f")
    wish = TokenWish(name="bot", role=Role.ADMIN)
    token, secret = await house.people.tokens.create(wish, actor=ADMIN, once=once)
    with pytest.raises(KeyMadeBefore, match=token.id):
        await house.people.tokens.create(wish, actor=ADMIN, once=once)
    async with house.store.look() as tx:
        assert secret not in repr([await tx.people.tokens(), await tx.trail()])
    assert token.hint.removesuffix("…") in secret
