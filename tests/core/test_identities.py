"""Who is who: what is revoked while it is read anew doesn't come back, and whom an issuer's token stands for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from innkeeper.core.access import ADMIN, SYSTEM, Action, Role, TenantRole, allow, digest
from innkeeper.core.errors import Forbidden, Problem
from innkeeper.core.events import TenantGone
from innkeeper.core.identity import Claims
from innkeeper.core.people import Session
from innkeeper.core.signing_in import Visitor
from innkeeper.core.tokens import TokenWish
from innkeeper.store.memory import MemoryStore
from tests.support.house import House
from tests.support.links import LINKS

VISITOR = Visitor(address="192.0.2.7", browser="Firefox/200")
PASSWORD = "correct horse battery"


class SlowStore(MemoryStore):
    """Its next look may take its time after it has seen what it sees."""

    def __init__(self) -> None:
        super().__init__(links=LINKS)
        self.holds_up: asyncio.Event | None = None
        self.has_looked = asyncio.Event()
        self.is_away = False

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Any]:
        if self.is_away:
            raise Problem("The store is away.")
        async with super().look() as tx:
            if (go_on := self.holds_up) is not None:
                self.holds_up = None
                self.has_looked.set()
                await go_on.wait()
            yield tx


@pytest.fixture
async def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
async def house(store: SlowStore) -> House:
    """Ann is a member of Alice's."""
    house = House()
    house.store = store
    house.start()
    await house.create("alice")
    ann = await house.people.users.create("ann@example.com", password=PASSWORD, actor=ADMIN)
    await house.people.members.put("alice", ann.id, TenantRole.MEMBER, actor=ADMIN)
    return house


async def signed_in(house: House) -> Session:
    session, _ = await house.people.signing_in.with_password("ann@example.com", PASSWORD, visitor=VISITOR)
    return session


async def overtaken(store: SlowStore, slow: Awaitable[object], quick: Callable[[], Awaitable[object]]) -> None:
    """`quick` is begun after `slow` has looked, and gets as far as it can before `slow` goes on."""
    go_on = store.holds_up = asyncio.Event()
    first = asyncio.ensure_future(slow)
    await store.has_looked.wait()
    second = asyncio.ensure_future(quick())
    await asyncio.sleep(1)
    go_on.set()
    await asyncio.gather(first, second)


@pytest.mark.looptime
async def test_a_session_that_ends_while_everything_is_read_stays_ended(house: House, store: SlowStore) -> None:
    session = await signed_in(house)
    assert house.identities.session(session.id) is not None
    end = partial(house.people.signing_in.end, session.id, actor=SYSTEM, own=False)
    await overtaken(store, house.identities.load(), end)
    assert house.identities.session(session.id) is None


@pytest.mark.looptime
async def test_of_two_who_read_a_user_anew_the_later_look_counts(house: House, store: SlowStore) -> None:
    session = await signed_in(house)
    end = partial(house.people.signing_in.end, session.id, actor=SYSTEM, own=False)
    await overtaken(store, house.identities.changed(session.user), end)
    assert house.identities.session(session.id) is None


@pytest.mark.looptime
@pytest.mark.parametrize("whole", [True, False])
async def test_a_tenant_that_goes_while_its_members_are_read_has_none(
    house: House, store: SlowStore, whole: bool
) -> None:
    session = await signed_in(house)
    wish = TokenWish(name="bot", tenant="alice", tenant_role=TenantRole.MEMBER)
    token, _ = await house.people.tokens.create(wish, actor=ADMIN)
    alice = await house.tenant()

    async def go() -> None:
        house.bus.publish(TenantGone(tenant="alice", tenant_id=alice.id))

    await overtaken(store, house.identities.load() if whole else house.identities.changed(session.user), go)
    _, ann = house.identities.session(session.id) or (None, None)
    assert ann is not None
    assert ann.tenants == {}
    assert house.identities.token(token.id) is None


async def test_what_another_control_plane_changed_is_repaired(house: House, store: SlowStore) -> None:
    session = await signed_in(house)
    async with store.begin() as elsewhere:
        await elsewhere.people.drop_user(session.user)
    assert house.identities.session(session.id) is not None
    await house.identities.load()
    assert house.identities.session(session.id) is None


async def test_what_is_revoked_while_the_store_goes_away_lets_nobody_in(house: House, store: SlowStore) -> None:
    """It is written down by then, so that nobody can revoke it a second time."""
    session = await signed_in(house)
    wish = TokenWish(name="bot", tenant="alice", tenant_role=TenantRole.MEMBER)
    token, secret = await house.people.tokens.create(wish, actor=ADMIN)
    await house.people.users.create("bob@example.com", password=PASSWORD, actor=ADMIN)
    other, _ = await house.people.signing_in.with_password("bob@example.com", PASSWORD, visitor=VISITOR)

    store.is_away = True
    with pytest.raises(Problem):
        await house.people.signing_in.end(session.id, actor=SYSTEM, own=False)
    with pytest.raises(Problem):
        await house.people.tokens.revoke(token.id, actor=ADMIN, own=False)
    assert house.identities.session(session.id) is None
    assert house.identities.by_token(digest(secret)) is None
    assert house.identities.session(other.id) is not None, "nobody else notices"

    store.is_away = False
    was_behind = house.identities.behind
    await house.identities.load()
    assert (was_behind, house.identities.behind) == (True, False)
    assert house.identities.session(session.id) is None
    again = await signed_in(house)
    assert house.identities.session(again.id) is not None


# --- an outside issuer's ----------------------------------------------------------------------------------------------


def claims(**fields: Any) -> Claims:
    return Claims(**{"issuer": "https://id.example", "subject": "1", "expires_at": 2e9, **fields})


async def known_there(house: House) -> str:
    """Ann, who signs in at that issuer, too."""
    async with house.store.begin() as tx:
        ann = await tx.people.user_by_mail("ann@example.com")
        assert ann is not None
        await tx.people.put_user(replace(ann, issuer="https://id.example", subject="1"))
    await house.identities.load()
    return ann.id


async def test_an_issuers_token_may_what_it_says_and_what_the_same_person_may_here(house: House) -> None:
    stranger = house.identities.issued(claims(subject="2", role="auditor", tenants={"bob": "viewer"}))
    assert stranger is not None
    assert (stranger.user, stranger.role, stranger.tenants) == (None, Role.AUDITOR, {"bob": TenantRole.VIEWER})
    ann = await known_there(house)
    both = house.identities.issued(claims(tenants={"bob": "viewer", "alice": "owner"}))
    assert both is not None
    assert both.user == ann
    assert both.tenants == {"bob": TenantRole.VIEWER, "alice": TenantRole.MEMBER}, "what is said here counts here"
    assert allow(both, Action.ENTER, "alice")
    assert not allow(both, Action.ENTER, "bob")


async def test_an_issuers_token_of_a_user_who_is_disabled_here_is_refused(house: House) -> None:
    ann = await known_there(house)
    everything = claims(role="admin", tenants={"alice": "owner"})
    assert house.identities.issued(everything) is not None
    await house.people.users.change(ann, {"disabled": True}, actor=SYSTEM)
    assert house.identities.issued(everything) is None
    await house.identities.load()
    assert house.identities.issued(everything) is None
    await house.people.users.change(ann, {"disabled": False}, actor=SYSTEM)
    assert house.identities.issued(everything) is not None


async def test_a_mail_in_an_issuers_token_makes_nobody_its_user(house: House) -> None:
    ann = house.identities.issued(claims(mail="ann@example.com", mail_verified=True))
    assert ann is not None
    assert (ann.user, ann.tenants, ann.role) == (None, {}, None)


async def test_a_mail_that_the_issuer_doesnt_vouch_for_is_nobodys_name(house: House) -> None:
    """Agents are told the name as who has come."""

    def name(**said: Any) -> str:
        actor = house.identities.issued(claims(**said))
        assert actor is not None
        return actor.name

    assert name(mail="bob@example.com", mail_verified=True) == "bob@example.com"
    assert name(mail="bob@example.com") == "1"
    await known_there(house)
    assert name(mail="bob@example.com", mail_verified=True) == "ann@example.com"


async def test_what_an_outside_token_opened_lasts_as_long_as_the_token_and_its_user(house: House) -> None:
    until = house.clock.now().timestamp() + 60
    stranger = house.identities.issued(claims(subject="2", expires_at=until, tenants={"alice": "member"}))
    assert stranger is not None
    ann = await known_there(house)
    known = house.identities.issued(claims(expires_at=until))
    assert known is not None
    assert house.identities.lasting(stranger) == stranger
    assert house.identities.lasting(known) == known
    await house.people.members.drop("alice", ann, actor=ADMIN)
    now = house.identities.lasting(known)
    assert now is not None
    assert not allow(now, Action.ENTER, "alice")
    await house.people.users.change(ann, {"disabled": True}, actor=ADMIN)
    assert house.identities.lasting(known) is None
    house.clock.turn(61)
    assert house.identities.lasting(stranger) is None
    assert house.identities.lasting(ADMIN) is None


async def test_an_operator_doesnt_make_themself_an_owner(house: House) -> None:
    operator = await house.people.users.create("op@example.com", role=Role.OPERATOR, actor=ADMIN)
    actor = house.identities.user(operator.id)
    assert actor is not None
    with pytest.raises(Forbidden):
        await house.people.members.put("alice", "op@example.com", TenantRole.OWNER, actor=actor)
    await house.people.members.put("alice", "ann@example.com", TenantRole.OWNER, actor=actor)
