"""The slow chores."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from innkeeper.core.access import ADMIN, Role, TenantRole, digest
from innkeeper.core.messages import MessageState
from innkeeper.core.signing_in import Visitor
from innkeeper.core.tokens import TokenWish
from innkeeper.loops.housekeeping import FORGET_EVERY_S, REPAIR_EVERY_S, Housekeeping
from innkeeper.loops.supervise import Supervisor
from tests.store.examples import message
from tests.support.house import House

VISITOR = Visitor(address=None, browser="")


@pytest.fixture
async def house() -> House:
    house = House()
    await house.create()
    return house


@pytest.fixture
def chores(house: House) -> Housekeeping:
    return Housekeeping(
        store=house.store, runtime=house.runtime, directory=house.directory, identities=house.identities,
        bus=house.bus, clock=house.clock, operations_kept=timedelta(days=1), messages_kept=timedelta(days=7),
    )  # fmt: skip


async def test_delivered_messages_are_forgotten_after_their_time_and_dead_ones_are_not(
    house: House, chores: Housekeeping
) -> None:
    tenant, now = await house.tenant(), house.clock.now()
    async with house.store.begin() as tx:
        for number, state in enumerate((MessageState.DELIVERED, MessageState.DEAD)):
            ended = message("alice", number, tenant_id=tenant.id, state=state, ended_at=now)
            await tx.messages.add(replace(ended, received_at=now), b"")
    house.clock.turn(6 * 86400)
    await chores.forget()
    assert len(await house.inbox.page("alice")) == 2
    house.clock.turn(2 * 86400)
    await chores.forget()
    assert [each.state for each in await house.inbox.page("alice")] == [MessageState.DEAD]


async def furnished(house: House) -> None:
    """A session, and a token and a key that end; and a token and a key that don't."""
    await house.people.users.create("ann@example.com", password="x", actor=ADMIN)
    await house.people.signing_in.with_password("ann@example.com", "x", visitor=VISITOR)
    for expires_at in (house.clock.now() + timedelta(hours=1), None):
        wish = TokenWish(name="bot", role=Role.AUDITOR, expires_at=expires_at)
        await house.people.tokens.create(wish, actor=ADMIN)
        await house.keys.create("alice", "phone", expires_at=expires_at, actor=ADMIN)


async def left(house: House) -> tuple[int, int, int]:
    """How many sessions, tokens and keys the store holds."""
    async with house.store.look() as tx:
        return len(await tx.people.sessions()), len(await tx.people.tokens()), len(await tx.keys("alice"))


async def test_credentials_that_have_run_out_are_forgotten(house: House, chores: Housekeeping) -> None:
    await furnished(house)
    house.clock.turn(3599)
    await chores.forget()
    assert await left(house) == (1, 2, 2)
    house.clock.turn(1)
    await chores.forget()
    assert await left(house) == (0, 1, 1)


async def test_what_another_control_plane_changed_is_read_anew(house: House, chores: Housekeeping) -> None:
    ann = await house.people.users.create("ann@example.com", actor=ADMIN)
    await house.people.members.put("alice", ann.id, TenantRole.OWNER, actor=ADMIN)
    wish = TokenWish(name="bot", role=Role.AUDITOR)
    token, secret = await house.people.tokens.create(wish, actor=ADMIN)
    key, key_secret = await house.keys.create("alice", "phone", actor=ADMIN)
    async with house.store.begin() as elsewhere:
        await elsewhere.people.drop_token(token.id)
        await elsewhere.drop_key("alice", key.id)
    assert house.identities.by_token(digest(secret)) is not None
    assert house.directory.key(digest(key_secret)) is not None
    await chores.repair()
    assert house.identities.by_token(digest(secret)) is None
    assert house.directory.key(digest(key_secret)) is None


@pytest.mark.looptime
async def test_the_chores_are_done_by_themselves(house: House, chores: Housekeeping) -> None:
    await furnished(house)
    token, secret = await house.people.tokens.create(TokenWish(name="x", role=Role.ADMIN), actor=ADMIN)
    house.clock.turn(3600)
    async with house.store.begin() as elsewhere:
        await elsewhere.people.drop_token(token.id)
    supervisor = Supervisor()
    chores.start(supervisor)
    async with supervisor.running():
        await asyncio.sleep(REPAIR_EVERY_S + 1)
        assert house.identities.by_token(digest(secret)) is None
        await asyncio.sleep(FORGET_EVERY_S)
        assert await left(house) == (0, 1, 1)
