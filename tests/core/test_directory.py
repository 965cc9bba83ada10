"""The directory while it is read anew: what happens meanwhile is newer than what was read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from innkeeper.core import directory as module
from innkeeper.core.access import SYSTEM, digest
from innkeeper.core.directory import Directory
from innkeeper.core.events import Bus
from innkeeper.core.specs import SpecPatch
from innkeeper.core.tenant import Wanted
from innkeeper.store.memory import MemoryStore
from tests.support.house import HOSTING, House
from tests.support.links import LINKS


class EventfulStore(MemoryStore):
    """Lets something happen after each look, before whoever looked can act on it."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Any]:
        async with super().look() as tx:
            yield tx
        if self.meanwhile is not None:
            happen, self.meanwhile = self.meanwhile, None
            await happen()


@pytest.fixture
async def store() -> EventfulStore:
    return EventfulStore(links=LINKS)


@pytest.fixture
async def house(store: EventfulStore) -> House:
    house = House()
    house.store = store
    house.start()
    await house.create("alice")
    return house


async def test_a_tenant_and_a_key_that_come_while_it_is_read_stay(house: House, store: EventfulStore) -> None:
    made = []

    async def happen() -> None:
        await house.create("bob")
        made.append(await house.keys.create("alice", "phone", actor=SYSTEM))

    store.meanwhile = happen
    await house.directory.load()
    assert house.directory.tenant("bob") is not None
    key, secret = made[0]
    assert house.directory.key(digest(secret)) == key


async def test_a_change_while_it_is_read_stays(house: House, store: EventfulStore) -> None:
    store.meanwhile = lambda: house.control.delete("alice", purge=True, actor=SYSTEM)
    await house.directory.load()
    alice = house.directory.tenant("alice")
    assert alice is not None
    assert alice.wanted is Wanted.GONE


async def test_all_parts_of_a_long_read_are_there(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_AT_ONCE", 2)
    for name in ("bob", "carol", "dave", "eve"):
        await house.create(name)
    fresh = Directory(store=house.store, bus=house.bus, hosting=HOSTING)
    await fresh.load()
    assert {tenant.name for tenant in fresh} == {"alice", "bob", "carol", "dave", "eve"}


async def test_a_hostname_that_moved_leads_to_whose_it_is_now(house: House, store: EventfulStore) -> None:
    """Read anew in the order of the names, the new owner may come first."""
    chat = ("chat.example.org",)
    await house.create("bob")
    await house.control.update("bob", SpecPatch(hostnames=chat), actor=SYSTEM)
    here = Directory(store=store, bus=Bus(), hosting=HOSTING)
    await here.load()
    await house.control.update("bob", SpecPatch(hostnames=()), actor=SYSTEM)
    await house.control.update("alice", SpecPatch(hostnames=chat), actor=SYSTEM)
    await here.load()
    found = here.at_host(chat[0])
    assert found is not None
    assert found.name == "alice"
