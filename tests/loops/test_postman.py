"""The postman: in order, side by side, once, whoever dies; and nobody's trouble is anybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from innkeeper.core import messages
from innkeeper.core.access import SYSTEM
from innkeeper.core.errors import InboxFull, StoreUnavailable
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.messages import Lane, Message, MessageState, Payload
from innkeeper.core.openings import InboxPath
from innkeeper.core.ports import Parcel
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.loops.postman import OTHERS_AFTER, Delivered, Postman
from innkeeper.loops.supervise import Supervisor
from tests.support.house import House, TurnedClock

pytestmark = pytest.mark.looptime

PATHS = tuple(InboxPath(path=f"/hooks/{number}") for number in range(5))
PATCH = SpecPatch(inbox=PATHS)
FIRST = PATHS[0]


class VirtualClock(TurnedClock):
    """Moves with the loop's virtual time."""

    def now(self) -> datetime:
        return self.time + timedelta(seconds=asyncio.get_running_loop().time())


class Office:
    """A house with a postman at work; what survives a kill is the house's store, runtime and courier."""

    def __init__(self) -> None:
        self.house = House(clock=VirtualClock())
        self.courier = self.house.courier
        self.counted: list[Delivered] = []

    @asynccontextmanager
    async def open(self, *, places: int = 16) -> AsyncIterator[Postman]:
        """A control plane, until the block ends: then it is gone as if killed."""
        house = self.house
        house.start()
        await house.directory.load()

        async def address(tenant: Tenant, port: int | None) -> str:
            return f"{tenant.name}:{port or 80}"

        postman = Postman(
            deliveries=house.deliveries,
            courier=self.courier,
            directory=house.directory,
            activator=house.activator,
            address=address,
            bus=house.bus,
            clock=house.clock,
            places=places,
            wake_within_s=30,
            count=self.counted.append,
        )
        house.inbox.on_waiting(postman.call)
        loops = house.loops(workers=4)
        supervisor = Supervisor()
        postman.start(supervisor)
        loops.start(supervisor)
        async with supervisor.running():
            yield postman

    async def tenant(self, name: str = "alice", patch: SpecPatch = PATCH) -> None:
        """A tenant that is ready."""
        operation = await self.house.create(name, patch)
        assert (await self.house.control.wait(operation.id, timeout_s=60)).status == "done"

    async def send(self, *bodies: str, name: str = "alice", at: InboxPath = FIRST) -> None:
        """Webhooks, accepted one after the other."""
        tenant = await self.house.control.tenant(name)
        for body in bodies:
            payload = Payload(method="POST", query="", headers=(("webhook-id", body),), body=body.encode())
            await self.house.inbox.accept(name, tenant.id, at, payload)

    async def messages(self, name: str = "alice", *states: MessageState) -> list[Message]:
        """What lies in a tenant's inbox."""
        return list(await self.house.inbox.page(name, states=states))

    async def until_empty(self, *, step_s: float = 0.1) -> None:
        """Wait until nothing waits any more."""
        while await self.house.deliveries.lanes():
            await asyncio.sleep(step_s)


@pytest.fixture
async def office() -> Office:
    return Office()


def status(code: int) -> Callable[[Parcel], Awaitable[int]]:
    async def answer(_: Parcel) -> int:
        return code

    return answer


# --- in order, and only when it is up ---------------------------------------------------------------------------------


async def test_a_sleeper_is_woken_once_and_gets_all_in_order(office: Office) -> None:
    async with office.open():
        await office.tenant()
        await office.house.control.sleep("alice", "stop", actor=SYSTEM)
        await office.send(*"abcde")
        await office.until_empty()

        assert office.courier.bodies == [b"a", b"b", b"c", b"d", b"e"]
        assert [parcel.path for parcel in office.courier.carried] == ["/hooks/0"] * 5
        assert office.courier.most_at_once == 1
        assert (await office.house.tenant()).seen.state is State.RUNNING
        delivered = await office.messages()
        assert {message.state for message in delivered} == {MessageState.DELIVERED}
        assert [parcel.message_id for parcel in office.courier.carried] == [message.id for message in delivered]
        async with office.house.store.look() as tx:
            assert [await tx.messages.sealed(message.id) for message in delivered] == [None] * 5
        assert office.counted == [Delivered.DELIVERED] * 5
        tenant = await office.house.tenant()
        assert office.house.directory.last_activity(tenant) is not None


async def test_it_goes_to_the_port_of_its_path(office: Office) -> None:
    inbox = (InboxPath(path="/a"), InboxPath(path="/b", port=8787))
    async with office.open():
        await office.tenant(patch=SpecPatch(inbox=inbox))
        for at in inbox:
            await office.send("x" + at.path, at=at)
        await office.send("gone", at=InboxPath(path="/c", port=9000))  # the path was taken out of the spec meanwhile
        await office.until_empty()
    assert sorted(parcel.to for parcel in office.courier.carried) == ["alice:80", "alice:8787", "alice:9000"]


async def test_the_head_of_a_lane_holds_up_its_own_lane_alone(office: Office) -> None:
    async def answer(parcel: Parcel) -> int:
        return 503 if parcel.payload.body == b"a" else 200

    async with office.open():
        await office.tenant()
        office.courier.answer = answer
        await office.send(*"abc")
        await office.send("d", at=PATHS[1])
        await asyncio.sleep(60)
        assert set(office.courier.bodies) == {b"a", b"d"}
        assert len(office.courier.bodies) > 3
        office.courier.answer = None
        await office.until_empty()
    assert office.courier.bodies[-3:] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 302])
async def test_who_cant_take_it_now_is_asked_again(office: Office, code: int) -> None:
    async with office.open():
        await office.tenant()
        office.courier.answer = status(code)
        await office.send(*"ab")
        await asyncio.sleep(20)
        assert office.courier.bodies == [b"a"] * 5
        office.courier.answer = None
        await office.until_empty()
    assert office.courier.bodies[5:] == [b"a", b"b"]


async def test_so_it_goes_for_a_day_and_then_it_is_given_up(office: Office) -> None:
    async with office.open():
        await office.tenant()
        office.courier.answer = status(503)
        began = office.house.clock.now()
        await office.send(*"ab")
        await office.until_empty(step_s=600)
        took = office.house.clock.now() - began

    assert timedelta(hours=45) < took < timedelta(hours=48), "one after the other, for they are in order"
    assert [message.attempts for message in await office.messages("alice", MessageState.DEAD)] == [35, 35]
    assert len(office.courier.carried) == 2 * messages.ATTEMPTS_MAX
    assert len({parcel.attempt for parcel in office.courier.carried}) == 2 * messages.ATTEMPTS_MAX
    assert len({parcel.message_id for parcel in office.courier.carried}) == 2
    assert office.counted.count(Delivered.RETRIED) == 68


@pytest.mark.parametrize("code", [400, 401, 404, 410, 413])
async def test_who_doesnt_want_it_isnt_asked_again(office: Office, code: int) -> None:
    async with office.open():
        await office.tenant()
        office.courier.answer = status(code)
        await office.send(*"ab")
        await office.until_empty()

        dead = await office.messages("alice", MessageState.DEAD)
        assert [message.last_error for message in dead] == [f"It was answered with {code}."] * 2
        assert office.courier.bodies == [b"a", b"b"]

        office.courier.answer = None
        await office.house.inbox.replay("alice", dead[1].id, actor=SYSTEM)
        await office.until_empty()
        await office.house.inbox.replay_all("alice", actor=SYSTEM)
        await office.until_empty()
        assert office.courier.bodies == [b"a", b"b", b"b", b"a"]
        assert await office.messages("alice", MessageState.DEAD) == []


def test_pauses_double_up_to_an_hour_and_are_spread() -> None:
    middle = [messages.pause_s(attempts, lambda: 0.5) for attempts in range(1, 15)]
    assert middle == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]
    assert (messages.pause_s(34, lambda: 0.0), messages.pause_s(34, lambda: 1.0)) == (2700, 4500)


# --- not up -----------------------------------------------------------------------------------------------------------


async def test_who_was_put_to_sleep_by_order_gets_them_when_it_is_up(office: Office) -> None:
    async with office.open():
        await office.tenant()
        await office.house.control.update("alice", SpecPatch(), wanted=Wanted.ASLEEP, actor=SYSTEM)
        await office.send(*"ab")
        await asyncio.sleep(6 * 3600)
        waiting = await office.messages("alice", MessageState.WAITING)
        assert [message.attempts for message in waiting] == [0, 0]
        assert (await office.house.tenant()).target is State.STOPPED
        assert office.courier.bodies == []

        await office.house.control.wake("alice", actor=SYSTEM)
        await asyncio.sleep(5)
        assert office.courier.bodies == [b"a", b"b"]


async def test_who_has_failed_gets_them_when_it_runs_again(office: Office) -> None:
    async with office.open():
        await office.tenant()
        with office.house.bus.subscribe() as events:
            office.house.runtime.crash("alice", exit_code=78)
            while (await office.house.tenant()).seen.state is not State.FAILED:
                await events.get()
        await office.send("a")
        await asyncio.sleep(3600)
        [message] = await office.messages()
        assert (message.state, message.attempts) == (MessageState.WAITING, 0)
        await office.house.control.restart("alice", actor=SYSTEM)
        await asyncio.sleep(5)
        assert office.courier.bodies == [b"a"]


async def test_who_doesnt_get_ready_in_time_costs_no_attempt(office: Office) -> None:
    async with office.open():
        await office.tenant()
        await office.house.control.sleep("alice", "stop", actor=SYSTEM)
        office.house.prober.answer = None
        await office.send("a")
        await asyncio.sleep(150)
        [message] = await office.messages()
        assert (message.state, message.attempts) == (MessageState.WAITING, 0)
        office.house.prober.answer = (200, b"{}")
        await asyncio.sleep(90)
        assert office.courier.bodies == [b"a"]


async def test_who_is_deleted_takes_its_messages_along(office: Office) -> None:
    async with office.open():
        await office.tenant()
        await office.house.control.update("alice", SpecPatch(), wanted=Wanted.ASLEEP, actor=SYSTEM)
        await office.send("a")
        _, operation = await office.house.control.delete("alice", purge=True, actor=SYSTEM)
        assert (await office.house.control.wait(operation.id, timeout_s=60)).status == "done"
        assert await office.house.deliveries.lanes() == []
        await office.tenant()
        await asyncio.sleep(600)
    assert office.courier.bodies == []


# --- somebody dies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 500, 404])
async def test_killed_while_the_tenant_works_on_it(office: Office, code: int) -> None:
    go_on = asyncio.Event()

    async def answer(parcel: Parcel) -> int:
        await go_on.wait()
        return code if parcel.payload.body == b"a" else 200

    office.courier.answer = answer
    async with office.open():
        await office.tenant()
        await office.send(*"ab")
        while not office.courier.carried:
            await asyncio.sleep(0.1)
    async with office.open() as postman:
        await asyncio.sleep(100)
        assert office.courier.bodies == [b"a"], "it isn't sent again while its end isn't known"
        assert list(postman.tenants) == ["alice"], "whoever were put to sleep now would have it, and not be heard"
        [first, _] = await office.messages()
        assert first.state is MessageState.DELIVERING
        office.courier.answer = None
        go_on.set()
        await office.until_empty()
        await asyncio.sleep(1)
        assert list(postman.tenants) == []
    assert office.courier.bodies == ([b"a", b"a", b"b"] if code == 500 else [b"a", b"b"])
    ended = [message.state for message in await office.messages()]
    assert ended == [MessageState.DEAD if code == 404 else MessageState.DELIVERED, MessageState.DELIVERED]


async def test_killed_between_the_answer_and_the_note_of_it(office: Office) -> None:
    async with office.open():
        await office.tenant()
    async with office.house.store.look() as tx:
        assert (await tx.tenant("alice")) is not None
    await office.send(*"ab")
    head = await office.house.deliveries.head(Lane("alice", FIRST.path))
    assert head is not None
    begun = await office.house.deliveries.begin(head, "here.at_1")
    assert begun is not None
    parcel = Parcel(attempt="here.at_1", message_id=head.id, to="alice:80", path=head.path, payload=begun[1])
    assert await office.courier.deliver(parcel) == 200

    async with office.open():
        await office.until_empty()
    assert office.courier.bodies == [b"a", b"b"]
    assert [message.attempts for message in await office.messages()] == [1, 1]


async def test_killed_between_the_note_and_the_sending(office: Office) -> None:
    async with office.open():
        await office.tenant()
    await office.send(*"ab")
    head = await office.house.deliveries.head(Lane("alice", FIRST.path))
    assert head is not None
    assert await office.house.deliveries.begin(head, "here.at_1") is not None

    async with office.open():
        await office.until_empty()
    assert office.courier.bodies == [b"a", b"b"]
    assert [message.attempts for message in await office.messages()] == [1, 1], "what was never sent is no attempt"


async def test_killed_again_and_again_each_is_delivered_once_and_in_order(office: Office) -> None:
    async def answer(_: Parcel) -> int:
        await asyncio.sleep(0.7)
        return 200

    office.courier.answer = answer
    async with office.open():
        await office.tenant()
    bodies = [str(number) for number in range(20)]
    await office.send(*bodies)
    lives = 0
    while await office.house.deliveries.lanes():
        lives += 1
        async with office.open():
            await asyncio.sleep(0.5 + lives % 3 * 0.4)
    assert lives > 5
    assert [body.decode() for body in office.courier.bodies] == bodies


async def test_what_another_installation_delivers_is_left_alone_for_long(office: Office) -> None:
    async with office.open():
        await office.tenant()
    await office.send(*"ab")
    head = await office.house.deliveries.head(Lane("alice", FIRST.path))
    assert head is not None
    await office.house.deliveries.begin(head, "elsewhere.at_1")
    async with office.open():
        await asyncio.sleep(OTHERS_AFTER.total_seconds() - 60)
        assert office.courier.bodies == []
        await asyncio.sleep(180)
        assert office.courier.bodies == [b"a", b"b"]


# --- something is away ------------------------------------------------------------------------------------------------


async def test_without_a_courier_nothing_is_tried(office: Office) -> None:
    async with office.open():
        await office.tenant()
        office.courier.away = True
        await office.send("a")
        await asyncio.sleep(600)
        [message] = await office.messages()
        assert (message.state, message.attempts) == (MessageState.WAITING, 0)
        office.courier.away = False
        await asyncio.sleep(61)
        assert office.courier.bodies == [b"a"]


async def test_a_store_that_is_down_when_the_answer_comes_gets_it_later(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = False
    begin = office.house.store.begin

    def maybe(*, synced: bool = False) -> object:
        if down:
            raise StoreUnavailable("The database doesn't answer.")
        return begin(synced=synced)

    async def answer(_: Parcel) -> int:
        nonlocal down
        down = len(office.courier.carried) == 1
        return 200

    async with office.open():
        await office.tenant()
        monkeypatch.setattr(office.house.store, "begin", maybe)
        office.courier.answer = answer
        await office.send(*"ab")
        await asyncio.sleep(120)
        assert office.courier.bodies == [b"a"]
        down = False
        await office.until_empty()
    assert office.courier.bodies == [b"a", b"b"]


async def test_a_payload_that_doesnt_open_is_a_dead_letter(office: Office) -> None:
    async with office.open():
        await office.tenant()
        await office.house.control.update("alice", SpecPatch(), wanted=Wanted.ASLEEP, actor=SYSTEM)
        await office.send(*"ab")
        async with office.house.store.begin() as tx:
            [first, _] = await tx.messages.page("alice")
            sealed = await tx.messages.sealed(first.id)
            assert sealed is not None
            await tx.messages.drop([first.id])
            await tx.messages.add(replace(first, id="msg_other"), sealed)
        await office.house.control.wake("alice", actor=SYSTEM)
        await office.until_empty()
        assert office.courier.bodies == [b"b"]
        [dead] = await office.messages("alice", MessageState.DEAD)
        assert dead.last_error == "msg_other doesn't open."


async def test_a_bug_with_one_message_stops_no_other(office: Office) -> None:
    async def answer(parcel: Parcel) -> int:
        if parcel.to.startswith("bob"):
            raise ValueError("a bug")
        return 200

    async with office.open():
        await office.tenant()
        await office.tenant("bob")
        office.courier.answer = answer
        await office.send("x", name="bob")
        await office.send(*"ab")
        await asyncio.sleep(30)
        assert [body for body in office.courier.bodies if body != b"x"] == [b"a", b"b"]
        office.courier.answer = None
        await office.until_empty()


# --- side by side -----------------------------------------------------------------------------------------------------


async def test_neither_a_flood_nor_slowness_of_one_holds_up_another(office: Office) -> None:
    never = asyncio.Event()

    async def answer(parcel: Parcel) -> int:
        if parcel.to.startswith("slow"):
            await never.wait()
        return 200

    async with office.open(places=16):
        await office.tenant("slow")
        await office.tenant("alice")
        office.courier.answer = answer
        for at in PATHS:
            await office.send(*(f"{at.path}-{number}" for number in range(9)), name="slow", at=at)
        await office.send(*"abc")
        await asyncio.sleep(5)
        carried = [parcel.to.partition(":")[0] for parcel in office.courier.carried]
        assert carried.count("alice") == 3
        assert carried.count("slow") == 2, "an eighth of the places, for all its five paths"
        never.set()
        await office.until_empty()


async def test_so_many_at_once_and_no_more(office: Office) -> None:
    async def answer(_: Parcel) -> int:
        await asyncio.sleep(1)
        return 200

    names = [f"t{number}" for number in range(12)]
    async with office.open(places=4):
        for name in names:
            await office.tenant(name)
        office.courier.answer = answer
        for name in names:
            await office.send(f"{name}-1", f"{name}-2", name=name)
        await office.until_empty()
    assert office.courier.most_at_once == 4
    first_round = [parcel.to for parcel in office.courier.carried[:12]]
    assert len(set(first_round)) == 12, "everybody's first before anybody's second"


async def test_a_flood_at_a_sleeper_is_bounded(office: Office) -> None:
    async with office.open():
        await office.tenant()
        await office.house.control.update("alice", SpecPatch(), wanted=Wanted.ASLEEP, actor=SYSTEM)
        accepted = 0
        for number in range(200):
            try:
                await office.send(str(number))
            except InboxFull:
                continue
            accepted += 1
        assert accepted == 50
        await office.house.control.wake("alice", actor=SYSTEM)
        await office.until_empty()
        assert len(office.courier.bodies) == 50
        await asyncio.sleep(1)
        await office.send("one more")
        await office.until_empty()


async def test_a_tenant_is_said_to_be_busy_while_it_gets_something(office: Office) -> None:
    go_on = asyncio.Event()

    async def answer(_: Parcel) -> int:
        await go_on.wait()
        return 200

    async with office.open() as postman:
        await office.tenant()
        office.courier.answer = answer
        await office.send("a")
        await asyncio.sleep(1)
        assert list(postman.tenants) == ["alice"]
        go_on.set()
        await asyncio.sleep(1)
        assert list(postman.tenants) == []


async def test_sleeping_in_between_is_no_trouble(office: Office) -> None:
    async with office.open():
        await office.tenant()
        for body in "abc":
            await office.house.rungs.rest("alice", Rung.PAUSED)
            await office.send(body)
            await office.until_empty()
    assert office.courier.bodies == [b"a", b"b", b"c"]
