"""What a list lets pass, and what is remembered of what was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.asked_for import PENDING_MAX, TOLD_MAX, AskedFor
from innkeeper.core.egress import (
    NAMES_KEPT,
    AskedName,
    EgressNotEnforceable,
    allows,
    check_enforceable,
    joined,
    may_reach,
    newest,
)
from innkeeper.core.errors import StoreUnavailable, UnknownTenant
from innkeeper.core.events import Bus, EgressRefused, Event
from innkeeper.core.ports import Transaction
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import Egress, EgressMode, Uses
from innkeeper.store.memory import MemoryStore
from tests.store.examples import NOON, tenant
from tests.support.house import TurnedClock
from tests.support.links import LINKS


@pytest.mark.parametrize(
    ("listed", "asked", "passes"),
    [
        ("example.com", "example.com", True),
        ("example.com", "api.example.com", False),
        ("example.com", "badexample.com", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "example.com.evil.net", False),
        ("*.example.com", "", False),
        ("*.example.com", r"evil\046example.com", False),
        ("*.example.com", r"foo.bar\.example.com", False),
        ("*.example.com", r"\001.example.com", False),
        ("api.example.com", "api.example.com.", False),
    ],
)
def test_what_a_list_lets_pass(listed: str, asked: str, passes: bool) -> None:
    assert allows([listed], asked) is passes
    assert not allows([], asked)


def of(mode: EgressMode, *names: str) -> Tenant:
    plain = tenant("a")
    return replace(plain, spec=replace(plain.spec, uses=Uses(egress=Egress(mode=mode, names=names))))


def test_only_an_enforced_list_stops_anything() -> None:
    assert may_reach(of(EgressMode.OFF, "a.example"), "b.example")
    assert may_reach(of(EgressMode.LEARN, "a.example"), "b.example")
    assert not may_reach(of(EgressMode.ENFORCE, "a.example"), "b.example")
    assert may_reach(of(EgressMode.ENFORCE, "a.example"), "a.example")


def test_what_nothing_would_keep_isnt_promised() -> None:
    check_enforceable(of(EgressMode.ENFORCE).spec.uses, None)
    check_enforceable(of(EgressMode.LEARN).spec.uses, "it has no network")
    with pytest.raises(EgressNotEnforceable, match="it has no network"):
        check_enforceable(of(EgressMode.ENFORCE).spec.uses, "it has no network")


def seen(name: str, minute: int = 0, *, asked: int = 1, refused: int = 0) -> AskedName:
    at = NOON + timedelta(minutes=minute)
    return AskedName(name=name, first_seen=at, last_seen=at, asked=asked, refused=refused)


def test_names_are_joined_whichever_came_first() -> None:
    earlier, later = seen("a", 1, asked=2), seen("a", 5, asked=3, refused=1)
    both = AskedName(name="a", first_seen=earlier.first_seen, last_seen=later.last_seen, asked=5, refused=1)
    assert joined(earlier, later) == joined(later, earlier) == both
    assert joined(None, later) == later


def test_the_latest_stay() -> None:
    assert [each.name for each in newest([seen("a", 3), seen("b", 1), seen("c", 2)], 2)] == ["a", "c"]


class Desk:
    """What was asked for, in a store that can be away."""

    def __init__(self) -> None:
        self.store = MemoryStore(links=LINKS)
        self.bus, self.clock = Bus(), TurnedClock()
        self.happened: list[Event] = []
        self.bus.on_event(self.happened.append)
        self.away = False
        self.asked_for = AskedFor(store=self, bus=self.bus, clock=self.clock)  # type: ignore[arg-type]
        self.alice = tenant("alice")

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        if self.away:
            raise StoreUnavailable("The store is away.")
        async with self.store.begin() as tx:
            yield tx

    def look(self) -> object:
        return self.store.look()

    async def names(self) -> list[tuple[str, int, int]]:
        return [(each.name, each.asked, each.refused) for each in (await self.asked_for.of("alice"))[1]]


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    async with desk.store.begin() as tx:
        await tx.add_tenant(desk.alice)
    return desk


async def test_what_is_noted_is_written_and_forgotten_on_request(desk: Desk) -> None:
    desk.asked_for.note(desk.alice, "a.example", False)
    desk.asked_for.note(desk.alice, "a.example", True)
    await desk.asked_for.write()
    desk.clock.turn(60)
    desk.asked_for.note(desk.alice, "a.example", False)
    assert await desk.names() == [("a.example", 3, 1)]
    [kept] = (await desk.asked_for.of("alice"))[1]
    assert kept.last_seen - kept.first_seen == timedelta(seconds=60)
    assert await desk.asked_for.forget("alice", actor=SYSTEM) == 1
    assert await desk.names() == []
    async with desk.store.look() as tx:
        assert [line.action for _, line in await tx.trail(tenant="alice")] == ["egress.forget"]
    with pytest.raises(UnknownTenant):
        await desk.asked_for.of("bob")
    with pytest.raises(UnknownTenant):
        await desk.asked_for.forget("bob", actor=SYSTEM)


async def test_nothing_is_lost_while_the_store_is_away(desk: Desk) -> None:
    desk.away = True
    desk.asked_for.note(desk.alice, "a.example", False)
    with pytest.raises(StoreUnavailable):
        await desk.asked_for.write()
    desk.asked_for.note(desk.alice, "a.example", False)
    await desk.asked_for.last()
    desk.away = False
    assert await desk.names() == [("a.example", 2, 0)]


async def test_a_refused_name_is_told_once(desk: Desk) -> None:
    for _ in range(3):
        desk.asked_for.note(desk.alice, "bad.example", True)
        desk.asked_for.note(desk.alice, "good.example", False)
        await desk.asked_for.write()
    assert [each.name for each in desk.happened if isinstance(each, EgressRefused)] == ["bad.example"]


async def test_a_tenant_that_makes_names_up_fills_neither_memory_nor_store(desk: Desk) -> None:
    for number in range(PENDING_MAX + 10):
        desk.asked_for.note(desk.alice, f"{number}.example", True)
    await desk.asked_for.write()
    assert len(await desk.names()) == NAMES_KEPT
    assert len(desk.happened) == TOLD_MAX
    for number in range(NAMES_KEPT):
        desk.asked_for.note(desk.alice, f"later-{number}.example", False)
    desk.clock.turn(1)
    desk.asked_for.note(desk.alice, "0.example", False)
    assert len(await desk.names()) == NAMES_KEPT


async def test_a_tenant_that_went_meanwhile_leaves_nothing(desk: Desk) -> None:
    desk.asked_for.note(desk.alice, "a.example", False)
    async with desk.store.begin() as tx:
        await tx.drop_tenant("alice", desk.alice.id)
        await tx.add_tenant(replace(desk.alice, id="another"))
    assert await desk.names() == []
