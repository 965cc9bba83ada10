"""The inbox's use cases: what counts as the same, what people may do with dead letters, and what has to go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.deliveries import superfluous
from innkeeper.core.errors import MessageNotDead, MessageUnderWay, UnknownMessage, UnknownTenant
from innkeeper.core.inbox import InboxLimits
from innkeeper.core.messages import Lane, Message, MessageState, Payload, unpacked
from innkeeper.core.openings import InboxPath
from tests.store.examples import message
from tests.support.house import House

HOOKS = InboxPath(path="/hooks", id="header:X-Id")
LANE = Lane("alice", "/hooks")


@pytest.fixture
async def house() -> House:
    house = House()
    await house.create()
    return house


async def accept(house: House, body: str, sender_id: str | None = None) -> bool:
    tenant = await house.tenant()
    headers = (("x-id", sender_id),) if sender_id else ()
    payload = Payload(method="POST", query="", headers=headers, body=body.encode())
    return await house.inbox.accept("alice", tenant.id, HOOKS, payload)


async def answered(house: House, status: int) -> Message:
    """The head of the lane after it was delivered and so answered."""
    head = await house.deliveries.head(LANE)
    assert head is not None
    begun = await house.deliveries.begin(head, "here.at")
    assert begun is not None
    return await house.deliveries.end(begun[0], status)


async def test_with_an_id_it_is_the_same_until_it_was_refused(house: House) -> None:
    assert await accept(house, "a", "1")
    assert not await accept(house, "a", "1"), "it waits"
    await answered(house, 200)
    assert not await accept(house, "a", "1"), "it is delivered"
    assert await accept(house, "b", "1"), "it says something else"
    refused = await answered(house, 401)
    assert refused.state is MessageState.DEAD
    assert await accept(house, "b", "1"), "somebody sends again what the agent wouldn't take"
    assert [each.state for each in await house.inbox.page("alice")] == [MessageState.DELIVERED, MessageState.WAITING]


async def test_without_an_id_nothing_is_the_same(house: House) -> None:
    assert await accept(house, "a")
    assert await accept(house, "a")


async def test_whoever_is_leaving_gets_nothing(house: House) -> None:
    tenant = await house.tenant()
    payload = Payload(method="POST", query="", headers=(), body=b"")
    with pytest.raises(UnknownTenant):
        await house.inbox.accept("alice", "tn_of_a_former_alice", HOOKS, payload)
    await house.control.delete("alice", purge=False, actor=SYSTEM)
    with pytest.raises(UnknownTenant):
        await house.inbox.accept("alice", tenant.id, HOOKS, payload)


async def test_only_the_dead_are_replayed_and_only_those_at_rest_discarded(house: House) -> None:
    for body in "abc":
        await accept(house, body)
    dead = await answered(house, 400)
    head = await house.deliveries.head(LANE)
    assert head is not None
    assert await house.deliveries.begin(head, "here.at2") is not None
    _, under_way, waiting = await house.inbox.page("alice")

    for other in (under_way, waiting):
        with pytest.raises(MessageNotDead):
            await house.inbox.replay("alice", other.id, actor=SYSTEM)
    with pytest.raises(MessageUnderWay):
        await house.inbox.discard("alice", under_way.id, actor=SYSTEM)
    again = await house.inbox.replay("alice", dead.id, actor=SYSTEM)
    assert (again.state, again.attempts, again.number) == (MessageState.WAITING, 0, dead.number)
    with pytest.raises(MessageNotDead):
        await house.inbox.replay("alice", dead.id, actor=SYSTEM)
    await house.inbox.discard("alice", waiting.id, actor=SYSTEM)
    with pytest.raises(UnknownMessage):
        await house.inbox.discard("alice", waiting.id, actor=SYSTEM)
    assert [each.id for each in await house.inbox.page("alice")] == [dead.id, under_way.id]


@pytest.mark.parametrize("message_id", ["", "x", "msg_", "msg_\0", "msg_" + "0" * 26, "msg_" + "é" * 26, "x" * 10_000])
async def test_unknown_messages(house: House, message_id: str) -> None:
    with pytest.raises(UnknownMessage):
        await house.inbox.replay("alice", message_id, actor=SYSTEM)
    with pytest.raises(UnknownTenant):
        await house.inbox.discard("nobody", message_id, actor=SYSTEM)


async def test_what_people_do_is_in_the_trail_without_a_word_of_what_was_sent(house: House) -> None:
    for body in ("canary-a", "canary-b"):
        await accept(house, body, "canary-id")
    first, second = await answered(house, 400), await answered(house, 400)
    await house.inbox.replay("alice", first.id, actor=SYSTEM)
    assert [each.id for each in await house.inbox.replay_all("alice", actor=SYSTEM)] == [second.id]
    assert list(await house.inbox.replay_all("alice", actor=SYSTEM)) == []
    await house.inbox.discard("alice", first.id, actor=SYSTEM)
    async with house.store.look() as tx:
        trail = [(entry.action, dict(entry.detail)) for _, entry in await tx.trail() if "inbox" in entry.action]
    assert trail == [
        ("inbox.replay", {"message": first.id, "path": "/hooks"}),
        ("inbox.replay", {"messages": 1}),
        ("inbox.discard", {"message": first.id, "path": "/hooks"}),
    ]


def test_a_payload_comes_back_as_it_was() -> None:
    payload = Payload(method="POST", query="a=\xff", headers=(("x", "ü\xff"), ("x", "2")), body=b'\n[]\0\xff{"a":1}\n')
    assert unpacked(payload.packed()) == payload


def test_of_dead_letters_those_that_anybody_can_send_go_first() -> None:
    def dead(number: int, attempts: int, size: int = 10) -> Message:
        return message("a", number, attempts=attempts, size=size, state=MessageState.DEAD)

    letters = [dead(1, 35), dead(2, 1), dead(3, 1), dead(4, 35), dead(5, 1)]
    numbered = [replace(each, number=number) for number, each in enumerate(letters, 1)]
    kept = InboxLimits(messages=3, bytes=1000)
    assert [each.number for each in superfluous(numbered, kept)] == [2, 3]
    assert [each.number for each in superfluous(numbered, InboxLimits(messages=1, bytes=1000))] == [2, 3, 5, 1]
    assert [each.number for each in superfluous(numbered, InboxLimits(messages=99, bytes=25))] == [2, 3, 5]
    assert list(superfluous(numbered, InboxLimits())) == []


async def test_dead_letters_are_bounded_like_the_living(house: House) -> None:
    for number in range(60):
        await accept(house, str(number))
        await answered(house, 400)
    left = await house.inbox.page("alice")
    assert len(left) == 50
    assert left[0].number == 11
