"""What every store must keep of people and their credentials: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.access import Role, TenantRole
from innkeeper.core.errors import UnknownTenant
from innkeeper.core.people_errors import UserExists
from innkeeper.core.ports import Store
from tests.store.databases import DRIVERS, opened
from tests.store.examples import NOON, key, tenant
from tests.store.people import elaborate_token, elaborate_user, member, session, ticket, token, user

ANN, BOB = user("ann"), user("bob")
A, B = tenant("a", 0), tenant("b", 1)


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Two tenants and two users."""
    async with opened(request.param, tmp_path) as store:
        async with store.begin() as write:
            for one in (A, B):
                await write.add_tenant(one)
            for who in (BOB, ANN):
                await write.people.add_user(who)
        yield store


# --- users ------------------------------------------------------------------------------------------------------------


async def test_a_user_comes_back_as_they_were_however_they_are_asked_for(store: Store) -> None:
    ann = elaborate_user()
    async with store.begin() as write:
        await write.people.put_user(ann)
        await write.people.put_user(user("nobody"))  # nobody has added them
    async with store.look() as read:
        assert await read.people.user(ann.id) == ann
        assert await read.people.user_by_mail(ann.mail) == ann
        assert await read.people.user_by_subject("https://id.example", "248289761001") == ann
        assert await read.people.user("usr_nobody") is None
        assert await read.people.user_by_mail("Ann@example.com") is None, "the core keeps them in lower case"
        assert await read.people.user_by_subject("https://id.example", "1") is None
        assert await read.people.user_by_subject("https://other.example", "248289761001") is None


async def test_users_are_paged_by_id(store: Store) -> None:
    async with store.begin() as write:
        await write.people.add_user(user("carol"))
    async with store.look() as read:
        assert [who.id for who in await read.people.users()] == ["usr_ann", "usr_bob", "usr_carol"]
        assert [who.id for who in await read.people.users(limit=2)] == ["usr_ann", "usr_bob"]
        assert [who.id for who in await read.people.users(after="usr_ann", limit=1)] == ["usr_bob"]
        assert await read.people.users(after="usr_carol") == []


async def test_a_mail_is_one_users(store: Store) -> None:
    with pytest.raises(UserExists, match="ann@example"):
        async with store.begin() as write:
            await write.people.add_user(replace(ANN, id="usr_other"))
    with pytest.raises(UserExists, match="ann@example"):
        async with store.begin() as write:
            await write.people.put_user(replace(BOB, mail=ANN.mail))
    async with store.begin() as write:
        await write.people.put_user(replace(ANN, mail="anna@example.com"))
        await write.people.add_user(user("other", mail=ANN.mail))
    async with store.look() as read:
        assert len(await read.people.users()) == 3


async def test_a_subject_of_an_issuer_is_one_users(store: Store) -> None:
    async with store.begin() as write:
        await write.people.put_user(replace(ANN, issuer="https://id.example", subject="1"))
        await write.people.put_user(replace(ANN, issuer="https://id.example", subject="1", name="Ann"))
    for issuer, subject, is_taken in (
        ("https://id.example", "1", True),
        ("https://id.example", "2", False),
        ("https://other.example", "1", False),
    ):
        twin = user("twin", issuer=issuer, subject=subject)
        if is_taken:
            with pytest.raises(UserExists):
                async with store.begin() as write:
                    await write.people.add_user(twin)
            with pytest.raises(UserExists):
                async with store.begin() as write:
                    await write.people.put_user(replace(BOB, issuer=issuer, subject=subject))
        else:
            async with store.begin() as write:
                await write.people.add_user(twin)
                await write.people.drop_user(twin.id)


async def test_any_number_of_users_has_no_subject(store: Store) -> None:
    async with store.begin() as write:
        for number in range(3):
            await write.people.add_user(user(f"u{number}"))
    async with store.look() as read:
        assert len(await read.people.users()) == 5


async def test_of_many_who_want_a_mail_at_once_one_gets_it(store: Store) -> None:
    async def add(number: int) -> bool:
        try:
            async with store.begin() as write:
                await write.people.add_user(user(f"n{number}", mail="same@example.com"))
        except UserExists:
            return False
        return True

    assert sum(await asyncio.gather(*(add(number) for number in range(10)))) == 1


# --- members ----------------------------------------------------------------------------------------------------------


async def test_members_are_found_by_tenant_and_by_user(store: Store) -> None:
    both = [member(A, ANN, TenantRole.OWNER), member(A, BOB, TenantRole.VIEWER), member(B, ANN)]
    async with store.begin() as write:
        for one in reversed(both):
            await write.people.put_member(one)
    async with store.look() as read:
        assert await read.people.members() == both
        assert await read.people.members(tenant="a") == both[:2]
        assert await read.people.members(user=ANN.id) == [both[0], both[2]]
        assert await read.people.members(tenant="b", user=BOB.id) == []
    async with store.begin() as write:
        await write.people.put_member(member(A, ANN, TenantRole.MEMBER))
        assert await write.people.drop_member(BOB.id, "b") is False
        assert await write.people.drop_member(BOB.id, "a") is True
        assert await write.people.drop_member(BOB.id, "a") is False
    async with store.look() as read:
        assert await read.people.members() == [member(A, ANN, TenantRole.MEMBER), both[2]]
    with pytest.raises(UnknownTenant):
        async with store.begin() as write:
            await write.people.put_member(member(tenant("nobody"), ANN))


# --- tokens and sessions ----------------------------------------------------------------------------------------------


async def test_tokens_come_back_as_they_were(store: Store) -> None:
    kept = [elaborate_token(1, A), token(2, user=ANN.id), token(3, role=Role.OPERATOR)]
    async with store.begin() as write:
        for one in reversed(kept):
            await write.people.add_token(one)
    async with store.look() as read:
        assert await read.people.tokens() == kept
    async with store.begin() as write:
        assert await write.people.drop_token("tok_2") is True
        assert await write.people.drop_token("tok_2") is False
    async with store.look() as read:
        assert await read.people.tokens() == [kept[0], kept[2]]


async def test_sessions_come_back_as_they_were(store: Store) -> None:
    kept = [session(1, ANN, address=None), session(2, BOB, expires_at=NOON - timedelta(days=1)), session(3, ANN)]
    async with store.begin() as write:
        for one in reversed(kept):
            await write.people.add_session(one)
    async with store.look() as read:
        assert await read.people.sessions() == kept, "also those that are over"
        assert await read.people.sessions(user=ANN.id) == [kept[0], kept[2]]
        assert await read.people.sessions(user="usr_nobody") == []
    async with store.begin() as write:
        assert await write.people.drop_session("ses_1") is True
        assert await write.people.drop_session("ses_1") is False
    async with store.look() as read:
        assert await read.people.sessions() == kept[1:]


# --- tickets ----------------------------------------------------------------------------------------------------------


async def test_a_ticket_is_taken_once(store: Store) -> None:
    anns = session(1, ANN)
    async with store.begin() as write:
        await write.people.add_session(anns)
        for number in (1, 2):
            await write.people.add_ticket(ticket(number, anns))
    async with store.begin() as write:
        assert await write.people.has_ticket("ticket 1")
        assert not await write.people.has_ticket("ticket 3")
        assert await write.people.take_ticket("ticket 1") == ticket(1, anns)
        assert not await write.people.has_ticket("ticket 1")
        assert await write.people.take_ticket("ticket 1") is None
        assert await write.people.take_ticket("ticket 3") is None
    async with store.begin() as write:
        assert await write.people.take_ticket("ticket 1") is None
        assert await write.people.take_ticket("ticket 2") == ticket(2, anns)


async def test_of_many_who_take_a_ticket_at_once_one_gets_it(store: Store) -> None:
    anns = session(1, ANN)

    async def take() -> bool:
        async with store.begin() as write:
            return await write.people.take_ticket("ticket 1") is not None

    for _ in range(5):
        async with store.begin() as write:
            await write.people.drop_session(anns.id)
            await write.people.add_session(anns)
            await write.people.add_ticket(ticket(1, anns))
        assert sum(await asyncio.gather(*(take() for _ in range(25)))) == 1


# --- what goes with what ----------------------------------------------------------------------------------------------


async def furnished(store: Store) -> None:
    """Everything twice: Ann's and Bob's, a's and b's."""
    async with store.begin() as write:
        for number, (who, where) in enumerate(((ANN, A), (BOB, B))):
            its = session(number, who)
            await write.people.put_member(member(where, who))
            await write.people.add_token(token(number, user=who.id))
            await write.people.add_token(elaborate_token(number + 10, where))
            await write.people.add_session(its)
            await write.people.add_ticket(ticket(number, its))


async def test_a_user_goes_with_memberships_tokens_sessions_and_tickets_and_nothing_of_anybody_elses(
    store: Store,
) -> None:
    await furnished(store)
    async with store.begin() as write:
        await write.people.drop_user(ANN.id)
        await write.people.drop_user(ANN.id)
    async with store.look() as read:
        assert await read.people.users() == [BOB]
        assert await read.people.members() == [member(B, BOB)]
        assert [one.id for one in await read.people.tokens()] == ["tok_1", "tok_10", "tok_11"]
        assert [one.id for one in await read.people.sessions()] == ["ses_1"]
    async with store.begin() as write:
        assert await write.people.take_ticket("ticket 0") is None
        assert await write.people.take_ticket("ticket 1") is not None


async def test_a_tenant_goes_with_its_members_and_the_tokens_for_it_alone(store: Store) -> None:
    await furnished(store)
    async with store.begin() as write:
        await write.drop_tenant("a", A.id)
        await write.add_tenant(replace(A, id="t_of_somebody_else"))
    async with store.look() as read:
        assert await read.people.members() == [member(B, BOB)], "a new tenant of an old name has nobody"
        assert [one.id for one in await read.people.tokens()] == ["tok_0", "tok_1", "tok_11"]
        assert len(await read.people.users()) == len(await read.people.sessions()) == 2


async def test_a_session_takes_its_tickets_with_it(store: Store) -> None:
    await furnished(store)
    async with store.begin() as write:
        await write.people.drop_session("ses_0")
        assert await write.people.take_ticket("ticket 0") is None
        assert await write.people.take_ticket("ticket 1") is not None


async def test_a_failed_block_leaves_people_as_they_were(store: Store) -> None:
    await furnished(store)

    async def fail_in_the_end() -> None:
        async with store.begin() as write:
            await write.people.drop_user(ANN.id)
            await write.people.take_ticket("ticket 1")
            await write.people.add_user(user("other", mail=BOB.mail))

    with pytest.raises(UserExists):
        await fail_in_the_end()
    async with store.begin() as write:
        assert len(await write.people.users()) == 2
        assert len(await write.people.sessions()) == 2
        assert await write.people.take_ticket("ticket 1") is not None


async def test_what_has_run_out_goes_and_nothing_else(store: Store) -> None:
    past, future = NOON, NOON + timedelta(microseconds=1)
    anns = session(1, ANN, expires_at=future)
    async with store.begin() as write:
        for number, expires_at in enumerate((past, future, None)):
            await write.people.add_token(token(number, user=ANN.id, expires_at=expires_at))
            await write.add_key(replace(key(number, A), expires_at=expires_at))
        await write.people.add_session(anns)
        await write.people.add_session(session(2, BOB, expires_at=past))
        await write.people.add_ticket(ticket(1, anns, expires_at=past))
        await write.people.add_ticket(ticket(2, anns, expires_at=future))
        await write.people.add_ticket(ticket(3, session(2, BOB), expires_at=past))
    async with store.begin() as write:
        assert await write.people.drop_expired(NOON) == 5
        assert await write.people.drop_expired(NOON) == 0
    async with store.begin() as write:
        assert [one.id for one in await write.people.tokens()] == ["tok_1", "tok_2"]
        assert [one.expires_at for one in await write.keys("a")] == [future, None]
        assert await write.people.sessions() == [anns]
        assert await write.people.take_ticket("ticket 1") is None
        assert await write.people.take_ticket("ticket 2") is not None
