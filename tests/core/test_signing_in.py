"""Signing in: who is taken for whom, who gets an account, and what happens to it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from innkeeper.core.access import ADMIN, SYSTEM, Role
from innkeeper.core.attempts import ADDRESS_FAILURES
from innkeeper.core.audit import Entry
from innkeeper.core.events import Bus, Event, PeopleChanged
from innkeeper.core.identity import Identity
from innkeeper.core.identity_errors import IdentityProviderAway, SignInFailed
from innkeeper.core.people import Session, SignInMethod, User
from innkeeper.core.people_errors import TooManyAttempts, UnknownSession, UserExists
from innkeeper.core.signing_in import REFUSALS_A_MINUTE, SESSIONS_MAX, SignUp, Visitor
from innkeeper.store.memory import MemoryStore
from innkeeper.store.memory_transaction import MemoryTransaction
from tests.support.house import TurnedClock
from tests.support.links import LINKS
from tests.support.people import QuickPasswords, plain_reception

ISSUER = "https://id.example"
PASSWORD = "correct horse battery"
VISITOR = Visitor(address="192.0.2.7", browser="Fire\x1bfox/200" + "x" * 500)


class SlowPasswords(QuickPasswords):
    """To check one takes long enough for something else to happen."""

    meanwhile: Callable[[], Awaitable[object]] | None = None
    old: frozenset[str] = frozenset()

    async def verify(self, password: str, phc: str | None) -> bool:
        right = await super().verify(password, phc)
        if self.meanwhile is not None:
            happen, self.meanwhile = self.meanwhile, None
            await happen()
        return right or phc in self.old

    def outdated(self, phc: str) -> bool:
        return phc in self.old


class Interleaved(MemoryStore):
    """After each look somebody else has a turn."""

    @asynccontextmanager
    async def look(self) -> AsyncIterator[MemoryTransaction]:
        async with super().look() as tx:
            yield tx
        await asyncio.sleep(0)


@dataclass
class Desk:
    """The reception of a test."""

    sign_up: SignUp | None = None
    store: MemoryStore = field(default_factory=lambda: MemoryStore(links=LINKS))
    clock: TurnedClock = field(default_factory=TurnedClock)
    passwords: SlowPasswords = field(default_factory=SlowPasswords)
    happened: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        bus = Bus()
        bus.on_event(self.happened.append)
        people = plain_reception(self.store, bus, self.clock, self.passwords, sign_up=self.sign_up)
        self.users, self.signing_in, self.identities = people.users, people.signing_in, people.identities

    async def user(self, name: str = "ann", **fields: Any) -> User:
        """A new user, of whom the fields say what the use cases don't let anybody set."""
        made = {at: fields.pop(at) for at in ("role", "password", "name") if at in fields}
        user = await self.users.create(f"{name}@example.com", **made, actor=ADMIN)
        async with self.store.begin() as tx:
            await tx.people.put_user(replace(user, **fields))
        await self.identities.load()
        return replace(user, **fields)

    async def found(self, user: User) -> User:
        """The user as they are now."""
        return await self.users.find(user.id)

    async def enter(self, **identity: Any) -> Session:
        """Somebody comes from the provider."""
        session, _ = await self.signing_in.with_identity(who(**identity), visitor=VISITOR)
        return session

    async def trail(self, action: str) -> list[Entry]:
        async with self.store.look() as tx:
            return [line for _, line in await tx.trail(limit=1000) if line.action == action]


def who(**fields: Any) -> Identity:
    """Ann, as the provider knows her."""
    known: Mapping[str, Any] = {"subject": "1", "mail": "ann@example.com", "mail_verified": True, "name": "Ann"}
    return Identity(issuer=ISSUER, **{**known, **fields})


ANYBODY = SignUp(welcomes=lambda _: True)


# --- who is taken for whom --------------------------------------------------------------------------------------------


async def test_an_account_is_the_subjects_who_came_first() -> None:
    desk = Desk()
    ann = await desk.user()
    assert (await desk.enter()).user == ann.id
    linked = await desk.found(ann)
    assert (linked.issuer, linked.subject, linked.name) == (ISSUER, "1", "Ann")
    assert (await desk.enter()).user == ann.id
    with pytest.raises(SignInFailed):
        await desk.enter(subject="2")
    with pytest.raises(SignInFailed):
        await desk.signing_in.with_identity(replace(who(), issuer="https://other.example"), visitor=VISITOR)
    assert await desk.found(ann) == linked
    (begun, again) = await desk.trail("session.begin")
    assert begun.after == {"name": "Ann", "issuer": ISSUER, "subject": "1"}, "whose account it is now is in the trail"
    assert again.after is None


async def test_two_who_bear_one_subject_at_two_issuers_are_two() -> None:
    desk = Desk(ANYBODY)
    first = await desk.enter()
    other = Identity(issuer="https://other.example", subject="1", mail="bob@example.com", mail_verified=True)
    second, _ = await desk.signing_in.with_identity(other, visitor=VISITOR)
    assert first.user != second.user
    assert (await desk.enter(mail="bob@example.com")).user == first.user, "however they call themselves"


@pytest.mark.parametrize(
    ("identity", "mail"),
    [
        ({"mail": "Anna@Example.com"}, "anna@example.com"),
        ({"mail": "anna@example.com", "mail_verified": False}, "ann@example.com"),
        ({"mail": "bob@example.com"}, "ann@example.com"),
        ({"mail": None}, "ann@example.com"),
        ({"mail": "no mail"}, "ann@example.com"),
    ],
)
async def test_a_mail_follows_its_subject_when_it_is_verified_and_free(identity: dict[str, Any], mail: str) -> None:
    desk = Desk()
    ann, bob = await desk.user(), await desk.user("bob")
    await desk.enter()
    assert (await desk.enter(**identity)).user == ann.id
    assert (await desk.found(ann)).mail == mail
    assert await desk.found(bob) == bob


@pytest.mark.parametrize("verified", [True, False])
async def test_an_account_with_a_password_is_nobodys_by_mail(verified: bool) -> None:
    desk = Desk(ANYBODY)
    ann = await desk.user(password=PASSWORD)
    with pytest.raises(SignInFailed):
        await desk.enter(mail_verified=verified)
    assert await desk.found(ann) == ann
    assert len(await desk.users.all()) == 1, "and nobody signs up beside it"
    (refused,) = await desk.trail("session.refused")
    assert refused.detail == {"why": "mail of another account", "mail": "ann@example.com"}
    await desk.users.change(ann.id, {"password": None}, actor=ADMIN)
    if verified:
        assert (await desk.enter()).user == ann.id, "once an admin has taken it away"


async def test_a_mail_that_nobody_vouches_for_finds_no_account() -> None:
    desk = Desk(ANYBODY)
    ann = await desk.user()
    with pytest.raises(SignInFailed):
        await desk.enter(mail_verified=False)
    assert (await desk.found(ann)).subject is None
    assert len(await desk.users.all()) == 1


async def test_one_who_comes_twice_at_once_for_the_first_time_gets_one_account() -> None:
    desk = Desk(ANYBODY, store=Interleaved(links=LINKS))
    came = await asyncio.gather(desk.enter(), desk.enter(), return_exceptions=True)
    assert [type(each) for each in came if not isinstance(each, Session)] == [UserExists]
    assert len(await desk.users.all()) == 1

    desk = Desk(store=Interleaved(links=LINKS))
    ann = await desk.user()
    came = await asyncio.gather(desk.enter(), desk.enter(subject="2"), return_exceptions=True)
    assert [type(each) for each in came] == [Session, SignInFailed], "whose it is is decided once"
    assert (await desk.found(ann)).subject == "1"


async def test_nobody_gets_an_account_by_a_mail_that_nobody_vouches_for() -> None:
    """An owner who makes bob@example.com a member means him."""
    desk = Desk(ANYBODY)
    with pytest.raises(SignInFailed):
        await desk.enter(subject="3", mail="bob@example.com", mail_verified=False)
    assert await desk.users.all() == []


# --- who gets an account ----------------------------------------------------------------------------------------------


async def test_whom_nobody_knows_gets_an_account_only_where_the_rules_say_so() -> None:
    closed = Desk()
    with pytest.raises(SignInFailed):
        await closed.enter()
    assert await closed.users.all() == []

    desk = Desk(SignUp(welcomes=lambda identity: identity.mail_verified and (identity.mail or "").endswith("@a.org")))
    for stranger in (
        {"mail": "eve@b.org"},
        {"mail": "eve@a.org", "mail_verified": False},
        {"mail": None},
        {"mail": "@a.org"},
        {"mail": "eve\0@a.org"},
    ):
        with pytest.raises(SignInFailed):
            await desk.enter(**stranger)
    session = await desk.enter(mail="Ann@a.org", name="Ann\x1b Smith")
    user = await desk.users.find("ann@a.org")
    assert (user.id, user.name, user.role, user.password) == (session.user, "Ann Smith", None, None)
    assert session.method is SignInMethod.OIDC
    assert [line.actor for line in await desk.trail("user.sign_up")] == [user.id]


async def test_who_is_disabled_comes_in_by_no_way() -> None:
    desk = Desk(ANYBODY)
    ann = await desk.user(password=PASSWORD, issuer=ISSUER, subject="1", disabled=True)
    bob = await desk.user("bob", disabled=True)
    with pytest.raises(SignInFailed):
        await desk.enter()
    with pytest.raises(SignInFailed):
        await desk.enter(subject="2", mail=bob.mail)
    with pytest.raises(SignInFailed):
        await desk.signing_in.with_password(ann.mail, PASSWORD, visitor=VISITOR)
    assert await desk.found(bob) == bob
    assert [line.detail["why"] for line in await desk.trail("session.refused")] == ["disabled"] * 3
    assert await desk.signing_in.sessions() == []


# --- in vain, again and again -----------------------------------------------------------------------------------------


async def test_strangers_from_everywhere_fill_no_trail() -> None:
    desk = Desk()
    for minute in range(2):
        for number in range(REFUSALS_A_MINUTE + 50):
            visitor = Visitor(address=f"2001:db8:{minute:x}:{number:x}::1", browser="")
            with pytest.raises(SignInFailed):
                await desk.signing_in.with_password(f"{number}@example.com", PASSWORD, visitor=visitor)
        assert len(await desk.trail("session.refused")) == REFUSALS_A_MINUTE * (minute + 1)
        desk.clock.turn(60)
    lines = await desk.trail("session.refused")
    assert [line.detail.get("suppressed") for line in lines if "suppressed" in line.detail] == [50]


async def test_the_provider_isnt_asked_in_vain_without_end() -> None:
    desk, asked = Desk(), 0

    async def finish() -> Identity:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise IdentityProviderAway("for once")
        raise SignInFailed("the provider took no code")

    with pytest.raises(IdentityProviderAway):
        await desk.signing_in.with_provider(finish, visitor=VISITOR)
    for _ in range(ADDRESS_FAILURES):
        with pytest.raises(SignInFailed):
            await desk.signing_in.with_provider(finish, visitor=VISITOR)
    with pytest.raises(TooManyAttempts):
        await desk.signing_in.with_provider(finish, visitor=VISITOR)
    assert asked == ADDRESS_FAILURES + 1
    assert len(await desk.trail("session.refused")) == ADDRESS_FAILURES


# --- roles from the provider ------------------------------------------------------------------------------------------


async def test_roles_are_the_providers_only_where_it_may_say_so() -> None:
    desk = Desk(ANYBODY)
    session = await desk.enter(role="admin")
    assert (await desk.users.find(session.user)).role is None

    desk = Desk(SignUp(welcomes=lambda _: True, gives_roles=True))
    await desk.user("boss", role=Role.ADMIN)
    session = await desk.enter(role="operator")
    assert (await desk.users.find(session.user)).role is Role.OPERATOR
    desk.happened.clear()
    await desk.enter(role=None)
    assert (await desk.users.find(session.user)).role is None
    assert [event.revoked for event in desk.happened if isinstance(event, PeopleChanged)] == [True]
    assert [line.after for line in await desk.trail("session.begin")] == [{"role": "operator"}, {"role": None}]


async def test_no_provider_takes_the_last_admin_away() -> None:
    desk = Desk(SignUp(gives_roles=True))
    ann = await desk.user(role=Role.ADMIN, issuer=ISSUER, subject="1")
    await desk.user("sleeper", role=Role.ADMIN, disabled=True)
    for role in (None, "auditor"):
        await desk.enter(role=role)
        assert (await desk.found(ann)).role is Role.ADMIN
    await desk.user("bob", role=Role.ADMIN)
    await desk.enter(role="auditor")
    assert (await desk.found(ann)).role is Role.AUDITOR


# --- what happens at the same time ------------------------------------------------------------------------------------


async def test_what_an_admin_changes_while_a_password_is_checked_stays_changed() -> None:
    desk = Desk()
    await desk.user("boss", role=Role.ADMIN)
    ann = await desk.user(password=PASSWORD, role=Role.ADMIN)
    for patch in ({"role": None}, {"name": "Anna"}):

        async def happen(patch: dict[str, Any] = patch) -> None:
            await desk.users.change(ann.id, patch, actor=ADMIN)

        desk.passwords.meanwhile = happen
        await desk.signing_in.with_password(ann.mail, PASSWORD, visitor=VISITOR)
    changed = await desk.found(ann)
    assert (changed.role, changed.name) == (None, "Anna")


@pytest.mark.parametrize("patch", [{"password": "another one"}, {"password": None}, {"disabled": True}, None])
async def test_who_loses_the_way_in_while_it_is_checked_isnt_let_in(patch: dict[str, Any] | None) -> None:
    desk = Desk()
    ann = await desk.user(password=PASSWORD)

    async def happen() -> None:
        if patch is None:
            await desk.users.delete(ann.id, actor=ADMIN)
        else:
            await desk.users.change(ann.id, patch, actor=ADMIN)

    desk.passwords.meanwhile = happen
    with pytest.raises(SignInFailed):
        await desk.signing_in.with_password(ann.mail, PASSWORD, visitor=VISITOR)
    assert await desk.signing_in.sessions() == []
    if patch is not None and "password" in patch:
        new = patch["password"]
        assert (await desk.found(ann)).password == (None if new is None else f"plain:{new}")


async def test_a_password_of_old_parameters_is_hashed_anew() -> None:
    desk = Desk()
    ann = await desk.user(password=PASSWORD)
    desk.passwords.old = frozenset({"old hash"})
    async with desk.store.begin() as tx:
        await tx.people.put_user(replace(ann, password="old hash"))
    await desk.signing_in.with_password(" Ann@Example.com", PASSWORD, visitor=VISITOR)
    assert (await desk.found(ann)).password == f"plain:{PASSWORD}"


# --- sessions ---------------------------------------------------------------------------------------------------------


async def test_the_oldest_of_too_many_sessions_gives_way() -> None:
    desk = Desk()
    await desk.user(password=PASSWORD)
    await desk.user("bob", password=PASSWORD)
    bobs, _ = await desk.signing_in.with_password("bob@example.com", PASSWORD, visitor=VISITOR)
    begun = [
        (await desk.signing_in.with_password("ann@example.com", PASSWORD, visitor=VISITOR))[0]
        for _ in range(SESSIONS_MAX + 2)
    ]
    assert SESSIONS_MAX == 50
    assert list(await desk.signing_in.sessions(user=begun[0].user)) == begun[2:]
    assert desk.identities.session(begun[1].id) is None
    assert desk.identities.session(begun[2].id) is not None
    assert desk.identities.session(bobs.id) is not None


async def test_a_session_ends_after_its_time_and_by_its_owner_or_an_admin() -> None:
    desk = Desk()
    ann, bob = await desk.user(password=PASSWORD), await desk.user("bob", password=PASSWORD)
    first, secret = await desk.signing_in.with_password(ann.mail, PASSWORD, visitor=VISITOR)
    second, _ = await desk.signing_in.with_password(ann.mail, PASSWORD, visitor=VISITOR)
    assert secret not in repr(first)
    assert first.browser == ("Firefox/200" + "x" * 500)[:200]
    _, anns = desk.identities.session(first.id) or (None, None)
    bobs_session, _ = await desk.signing_in.with_password(bob.mail, PASSWORD, visitor=VISITOR)
    _, bobs = desk.identities.session(bobs_session.id) or (None, None)
    assert anns is not None
    assert bobs is not None
    for actor in (bobs, SYSTEM):
        with pytest.raises(UnknownSession):
            await desk.signing_in.end(first.id, actor=actor, own=True)
    await desk.signing_in.end(first.id, actor=anns, own=True)
    assert desk.identities.session(first.id) is None
    await desk.signing_in.end(second.id, actor=ADMIN, own=False)
    assert list(await desk.signing_in.sessions()) == [bobs_session]
    desk.clock.turn(3600)
    assert await desk.signing_in.sessions() == []
    assert desk.identities.session(bobs_session.id) is None
    assert bobs_session.expires_at - bobs_session.created_at == timedelta(hours=1)
