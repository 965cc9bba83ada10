"""What every store must keep of integrations: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.errors import UnknownTenant
from innkeeper.core.integration import Begun, Connection, Standing
from innkeeper.core.ports import Store
from tests.store.databases import DRIVERS, opened
from tests.store.examples import NOON, tenant
from tests.store.people import session, user

A, B = tenant("a", 0), tenant("b", 1)
ANN = user("ann")
ANNS, ANNS_OTHER = session(1, ANN), session(2, ANN)


def connection(integration: str, **fields: Any) -> Connection:
    """One with as little said as can be."""
    least = {"id": f"int_a_{integration}", "tenant": "a", "tenant_id": A.id, "integration": integration}
    who = {"connected_by": "usr_ann", "connected_as": "ann@example.com", "connected_at": NOON}
    return Connection(**{**least, **who, **fields})


def elaborate() -> Connection:
    """One with everything said."""
    return connection(
        "google",
        standing=Standing.BROKEN,
        connected_as="änn",
        scopes=("https://example.com/a", "b"),
        expires_at=NOON + timedelta(microseconds=1),
        refreshed_at=NOON,
        generation=7,
        claim="abc",
        claim_until=NOON + timedelta(seconds=40),
        failures=3,
        retry_at=NOON + timedelta(minutes=5),
        error="Google refused: “no”.",
    )


def begun(digest: str, **fields: Any) -> Begun:
    least = {"digest": digest, "tenant": "a", "tenant_id": A.id, "integration": "google", "session": ANNS.id}
    return Begun(**{**least, "verifier": b"\x00sealed\xff", "expires_at": NOON, **fields})


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Two tenants, and Ann who is signed in twice."""
    async with opened(request.param, tmp_path) as store:
        async with store.begin() as write:
            for one in (A, B):
                await write.add_tenant(one)
            await write.people.add_user(ANN)
            for each in (ANNS, ANNS_OTHER):
                await write.people.add_session(each)
        yield store


async def test_connections_come_back_as_they_were_by_their_tenant(store: Store) -> None:
    plain, others = connection("github"), connection("google", id="int_b", tenant="b", tenant_id=B.id)
    async with store.begin() as write:
        for each in (others, elaborate(), plain):
            await write.integrations.put(each)
    async with store.look() as read:
        assert await read.integrations.of("a") == [plain, elaborate()]
        assert await read.integrations.of("b") == [others]
        assert await read.integrations.of("nobody") == []
        assert await read.integrations.find("a", "google") == elaborate()
        assert await read.integrations.find("a", "slack") is None
    later = replace(elaborate(), id="int_new", standing=Standing.CONNECTED, claim=None, claim_until=None)
    async with store.begin() as write:
        await write.integrations.put(later)
        assert await write.integrations.drop("a", "github") is True
        assert await write.integrations.drop("a", "github") is False
    async with store.look() as read:
        assert await read.integrations.of("a") == [later]
        assert await read.integrations.of("b") == [others]


async def test_nothing_is_kept_for_a_tenant_that_isnt_there(store: Store) -> None:
    with pytest.raises(UnknownTenant):
        async with store.begin() as write:
            await write.integrations.put(connection("google", tenant="nobody"))
    with pytest.raises(UnknownTenant):
        async with store.begin() as write:
            await write.integrations.begin(begun("s", tenant="nobody"))


async def test_a_state_is_taken_once(store: Store) -> None:
    async with store.begin() as write:
        await write.integrations.begin(begun("one"))
        await write.integrations.begin(begun("two", integration="github"))
    async with store.look() as read:
        assert await read.integrations.has_begun("one")
        assert not await read.integrations.has_begun("three")

    async def take() -> Begun | None:
        async with store.begin() as write:
            return await write.integrations.take("one")

    taken = await asyncio.gather(*(take() for _ in range(25)))
    assert [each for each in taken if each is not None] == [begun("one")]
    async with store.look() as read:
        assert not await read.integrations.has_begun("one")
        assert await read.integrations.has_begun("two")


async def test_a_session_has_one_way_back_for_each_tenant_and_integration(store: Store) -> None:
    others = [
        begun("other service", integration="github"),
        begun("other session", session=ANNS_OTHER.id),
        begun("other tenant", tenant="b", tenant_id=B.id),
    ]
    async with store.begin() as write:
        for each in (begun("first"), *others, begun("second")):
            await write.integrations.begin(each)
    async with store.look() as read:
        assert not await read.integrations.has_begun("first")
        for each in (*others, begun("second")):
            assert await read.integrations.has_begun(each.digest)


async def test_a_failed_block_gives_a_state_back(store: Store) -> None:
    async with store.begin() as write:
        await write.integrations.begin(begun("one"))

    async def fail() -> None:
        async with store.begin() as write:
            await write.integrations.take("one")
            await write.integrations.put(connection("google", tenant="nobody"))

    with pytest.raises(UnknownTenant):
        await fail()
    async with store.look() as read:
        assert await read.integrations.has_begun("one")


async def test_what_was_begun_and_never_ended_goes_in_time(store: Store) -> None:
    async with store.begin() as write:
        await write.integrations.begin(begun("old"))
        later = NOON + timedelta(microseconds=1)
        await write.integrations.begin(begun("young", integration="github", expires_at=later))
        assert await write.integrations.forget_begun(before=NOON) == 1
        assert await write.integrations.forget_begun(before=NOON) == 0
    async with store.look() as read:
        assert not await read.integrations.has_begun("old")
        assert await read.integrations.has_begun("young")


async def test_all_of_it_goes_with_its_tenant_and_what_was_begun_with_its_session(store: Store) -> None:
    async with store.begin() as write:
        await write.integrations.put(connection("google"))
        await write.integrations.put(connection("google", id="int_b", tenant="b", tenant_id=B.id))
        await write.integrations.begin(begun("a's"))
        await write.integrations.begin(begun("b's", tenant="b", tenant_id=B.id, session=ANNS_OTHER.id))
        await write.integrations.begin(begun("of the session", tenant="b", tenant_id=B.id))
        await write.drop_tenant("a", A.id)
        await write.people.drop_session(ANNS.id)
    async with store.look() as read:
        assert await read.integrations.of("a") == []
        assert len(await read.integrations.of("b")) == 1
        assert [await read.integrations.has_begun(each) for each in ("a's", "of the session", "b's")] == [
            False,
            False,
            True,
        ]
