"""What every store must keep of messages, and in which order: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.errors import Conflict, UnknownTenant
from innkeeper.core.messages import Lane, Message, MessageState, begun
from innkeeper.core.ports import Load, Store
from tests.store.databases import DRIVERS, opened
from tests.store.examples import NOON, message, tenant

WAITING, DELIVERING, DELIVERED, DEAD = MessageState


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as store:
        async with store.begin() as write:
            await write.add_tenant(tenant("a", 0))
            await write.add_tenant(tenant("b", 1))
        yield store


async def kept(store: Store, *messages: Message) -> list[Message]:
    async with store.begin(synced=True) as write:
        return [await write.messages.add(each, b"sealed " + each.id.encode()) for each in messages]


async def test_a_message_comes_back_as_it_was(store: Store) -> None:
    elaborate = message(
        "a", 1, path="/hooks", port=8787, sender_id="über", fingerprint="f", size=7, attempts=3, attempt="at_1",
        attempt_at=NOON, next_attempt_at=NOON + timedelta(hours=1), ended_at=NOON, last_error="No.", state=DEAD,
    )  # fmt: skip
    [plain, whole] = await kept(store, message("a", 0), elaborate)
    assert plain.number < whole.number
    assert plain == replace(message("a", 0), number=plain.number)
    assert whole == replace(elaborate, number=whole.number)
    async with store.look() as read:
        assert await read.messages.get("a", elaborate.id) == whole
        assert await read.messages.get("b", elaborate.id) is None
        assert await read.messages.get("a", "msg_nothing") is None
        assert await read.messages.sealed(elaborate.id) == b"sealed msg_a1"
        assert await read.messages.sealed("msg_nothing") is None


async def test_a_fingerprint_is_kept_once_on_each_path_of_each_tenant(store: Store) -> None:
    first = message("a", 1, fingerprint="f")
    others = [
        message("a", 2, fingerprint="g"), message("a", 3, fingerprint="f", path="/other"),
        message("b", 4, fingerprint="f"), message("a", 5), message("a", 6),
    ]  # fmt: skip
    await kept(store, first, *others)
    for again in (message("a", 7, fingerprint="f"), message("a", 8, fingerprint="f", state=DELIVERED)):
        with pytest.raises(Conflict):
            await kept(store, again)
    async with store.look() as read:
        found = await read.messages.like("t_a", first.path, "f")
        assert found is not None
        assert found.id == first.id
        assert await read.messages.like("t_a", first.path, "h") is None
        assert len(await read.messages.page("a")) == 5


@pytest.mark.parametrize("stranger", [message("nobody", 1), message("a", 1, tenant_id="t_former")])
async def test_nobodys_message_is_not_kept(store: Store, stranger: Message) -> None:
    with pytest.raises(UnknownTenant):
        await kept(store, stranger)


async def test_pages_go_by_number_and_state(store: Store) -> None:
    added = await kept(
        store,
        *(
            message("a", number, state=state)
            for number, state in enumerate([WAITING, DEAD, DELIVERED, DEAD, DELIVERING])
        ),
        message("b", 9, state=DEAD),
    )
    async with store.look() as read:
        assert await read.messages.page("a") == added[:5]
        assert await read.messages.page("a", states=[DEAD]) == [added[1], added[3]]
        assert await read.messages.page("a", states=[DEAD, WAITING], after=added[0].number, limit=1) == [added[1]]
        assert await read.messages.page("a", after=added[3].number) == [added[4]]
        assert await read.messages.page("nobody") == []
        assert dict(await read.messages.counts()) == {WAITING: 1, DEAD: 3, DELIVERED: 1, DELIVERING: 1}
        assert await read.messages.under_way() == [added[4]]


async def test_the_head_of_a_lane_is_its_oldest_that_isnt_delivered(store: Store) -> None:
    done, dead, under_way, waiting, other = await kept(
        store,
        message("a", 1, state=DELIVERED),
        message("a", 2, state=DEAD),
        message("a", 3, state=DELIVERING, attempt="at_1"),
        message("a", 4),
        message("a", 5, path="/other"),
    )
    async with store.begin() as write:
        assert await write.messages.head(done.lane) == under_way
        assert await write.messages.head(other.lane) == other
        assert await write.messages.head(Lane("b", "/hooks")) is None
        assert sorted(await write.messages.lanes()) == [Lane("a", "/hooks"), Lane("a", "/other")]
        assert await write.messages.change(replace(dead, state=WAITING), was=dead)
        assert (await write.messages.head(done.lane) or dead).id == dead.id, "who is replayed has kept its place"
        assert await write.messages.drop([dead.id, under_way.id, waiting.id, "msg_nothing"]) == 3
        assert await write.messages.lanes() == [other.lane]


async def test_only_what_is_still_to_be_delivered_weighs(store: Store) -> None:
    await kept(
        store,
        message("a", 1, size=10),
        message("a", 2, size=20, state=DELIVERING, path="/other"),
        message("a", 3, size=40, state=DEAD),
        message("b", 4, size=80),
    )
    async with store.look() as read:
        assert await read.messages.load("a") == Load(messages=2, bytes=30)
        assert await read.messages.load("nobody") == Load(messages=0, bytes=0)


async def test_a_change_is_made_only_of_what_was_seen(store: Store) -> None:
    [seen] = await kept(store, message("a", 1))
    async with store.begin() as write:
        assert await write.messages.change(begun(seen, "at_1", NOON), was=seen)
        assert not await write.messages.change(begun(seen, "at_2", NOON), was=seen)
        now = await write.messages.get("a", seen.id)
        assert now == begun(seen, "at_1", NOON)
        delivered = replace(now, state=DELIVERED, ended_at=NOON)
        assert not await write.messages.change(delivered, was=replace(now, attempt="at_2"))
        assert await write.messages.sealed(seen.id) is not None
        assert await write.messages.change(delivered, was=now)
        assert await write.messages.sealed(seen.id) is None, "nothing but its id is kept"
        assert await write.messages.get("a", seen.id) == delivered


async def test_a_number_is_never_given_twice(store: Store) -> None:
    *_, last = await kept(store, message("a", 1), message("a", 2))
    async with store.begin() as write:
        assert await write.messages.drop([last.id]) == 1
    [another] = await kept(store, message("a", 3))
    assert another.number > last.number


async def test_delivered_ones_are_forgotten_when_old_or_many(store: Store) -> None:
    async def left(name: str) -> list[str]:
        async with store.look() as read:
            return [each.id for each in await read.messages.page(name)]

    def done(name: str, number: int, hours: int) -> Message:
        return message(name, number, state=DELIVERED, ended_at=NOON + timedelta(hours=hours))

    await kept(
        store,
        *(done("a", number, number) for number in range(5)),
        *(done("b", number, number) for number in range(2)),
        message("a", 8, state=DEAD, ended_at=NOON - timedelta(days=99)),
        message("a", 9),
    )
    async with store.begin() as write:
        assert await write.messages.forget(before=NOON + timedelta(hours=1), keep=3) == 3
    assert await left("a") == ["msg_a2", "msg_a3", "msg_a4", "msg_a8", "msg_a9"]
    assert await left("b") == ["msg_b1"]


async def test_messages_go_with_their_tenant(store: Store) -> None:
    await kept(store, message("a", 1), message("a", 2, state=DELIVERED, fingerprint="f"), message("b", 3))
    async with store.begin() as write:
        await write.drop_tenant("a", "t_a")
        await write.add_tenant(replace(tenant("a", 0), id="t_a2"))
        assert await write.messages.page("a") == []
        assert await write.messages.lanes() == [Lane("b", "/hooks")]


async def test_a_block_that_fails_has_accepted_nothing(store: Store) -> None:
    with pytest.raises(Conflict):
        await kept(store, message("a", 1, fingerprint="f"), message("a", 2, fingerprint="f"))
    async with store.look() as read:
        assert await read.messages.page("a") == []


async def test_many_who_accept_at_once_get_numbers_in_the_order_of_their_turns(store: Store) -> None:
    turns: list[int] = []

    async def accept(number: int) -> None:
        async with store.begin(synced=True) as write:
            turns.append((await write.messages.add(message("a", number), b"")).number)

    await asyncio.gather(*(accept(number) for number in range(20)))
    assert turns == sorted(turns)
    assert len(set(turns)) == 20
