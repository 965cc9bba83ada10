"""Refusals in the trail: told at once, in few lines however many there are, and without what they came with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from innkeeper.core.access import ADMIN, Actor, ActorKind, TenantRole, new_secret
from innkeeper.core.audit import Entry
from innkeeper.core.denials import IN_ALL, MINUTE_S, PER_ADDRESS, WAITING_MAX, Denial, Denials, looks_like
from innkeeper.core.errors import StoreUnavailable
from innkeeper.core.records import Look
from innkeeper.core.trail import Sought
from innkeeper.store.memory import MemoryStore
from tests.support.house import House
from tests.support.links import LINKS


async def lines(house: House) -> Sequence[Entry]:
    async with house.store.look() as tx:
        return [entry for _, entry in await tx.trail(limit=10_000) if entry.action == "access.denied"]


async def details(house: House) -> Sequence[Mapping[str, object]]:
    return [entry.detail for entry in await lines(house)]


async def test_a_refusal_tells_who_from_where_and_of_what() -> None:
    house = House()
    await house.create("alice")
    note: dict[str, Any] = {"action": "tenant.read", "address": "192.0.2.7", "request": "req_1", "credential": "key"}
    house.denials.note(Denial.CREDENTIAL, tenant="alice", **note)
    house.denials.note(Denial.CREDENTIAL, tenant="made-up-by-a-stranger", **note)
    await house.denials.write()
    known, unknown = await lines(house)
    there = await house.tenant("alice")
    assert (known.kind, known.actor, known.address, known.request) == (
        ActorKind.UNKNOWN, "unknown", "192.0.2.7", "req_1",
    )  # fmt: skip
    assert (known.tenant, known.tenant_id) == ("alice", there.id)
    assert known.detail == {"reason": "credential", "action": "tenant.read", "credential": "key"}
    assert (unknown.tenant, unknown.tenant_id) == (None, None)


async def test_ten_thousand_from_one_address_are_a_few_lines() -> None:
    house = House()
    for _ in range(10_000):
        house.denials.note(Denial.CREDENTIAL, address="192.0.2.7")
    house.denials.note(Denial.CREDENTIAL, address="192.0.2.8")
    await house.denials.write()
    assert len(await lines(house)) == PER_ADDRESS + 1
    house.clock.turn(MINUTE_S)
    await house.denials.write()
    assert (await details(house))[-1] == {"suppressed": 10_000 - PER_ADDRESS}
    assert len(await lines(house)) == PER_ADDRESS + 2
    house.denials.note(Denial.CREDENTIAL, address="192.0.2.7")
    await house.denials.write()
    assert len(await lines(house)) == PER_ADDRESS + 3
    house.clock.turn(MINUTE_S)
    await house.denials.write()
    assert len(await lines(house)) == PER_ADDRESS + 3


async def test_from_many_addresses_they_are_few_as_well() -> None:
    house = House()
    for number in range(5000):
        house.denials.note(Denial.CREDENTIAL, address=f"2001:db8::{number:x}")
    house.clock.turn(MINUTE_S)
    await house.denials.write()
    assert len(await lines(house)) == IN_ALL + 1
    assert (await details(house))[-1] == {"suppressed": 5000 - IN_ALL}


async def test_no_credential_at_all_is_counted_alone() -> None:
    house, counted = House(), list[Denial]()
    denials = Denials(store=house.store, directory=house.directory, clock=house.clock, count=counted.append)
    denials.note(Denial.MISSING, address="192.0.2.7")
    await denials.write()
    assert counted == [Denial.MISSING]
    assert await lines(house) == []


class Down(MemoryStore):
    """Doesn't answer until it is told to."""

    down = True

    @asynccontextmanager
    async def begin(self, *, synced: bool = False) -> AsyncIterator[Any]:
        if self.down:
            raise StoreUnavailable("The database doesn't answer.")
        async with super().begin(synced=synced) as tx:
            yield tx


async def test_what_cant_be_written_waits_and_doesnt_grow_for_ever() -> None:
    house, store = House(), Down(links=LINKS)
    denials = Denials(store=store, directory=house.directory, clock=house.clock)
    for minute in range(30):
        for number in range(IN_ALL):
            denials.note(Denial.CREDENTIAL, address=f"2001:db8:{minute:x}::{number:x}")
        house.clock.turn(MINUTE_S)
    with pytest.raises(StoreUnavailable):
        await denials.write()
    store.down = False
    await denials.write()
    await denials.write()
    async with store.look() as tx:
        found = [entry for _, entry in await tx.trail(limit=10_000)]
    suppressed = sum(int(str(entry.detail.get("suppressed", 0))) for entry in found)
    told = [entry for entry in found if "suppressed" not in entry.detail]
    assert len(told) + suppressed == 30 * IN_ALL
    assert len(found) <= WAITING_MAX + 30


async def test_the_loop_writes_them_by_itself() -> None:
    house = House()
    writing = asyncio.create_task(house.denials.keep_writing())
    house.denials.note(Denial.PERMISSION, address="192.0.2.7")
    async with asyncio.timeout(10):
        while not await lines(house):
            await asyncio.sleep(0.05)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


@pytest.mark.parametrize(
    ("credential", "kind"),
    [
        ("k", "key"),
        ("t", "token"),
        ("a", "admin"),
        ("ik_", "other"),
        ("ik_z_x", "other"),
        ("eyJhbGciOiJub25lIn0.e30.", "jwt"),
        ("", "other"),
        ("hunter2", "other"),
    ],
)
def test_of_a_credential_only_its_sort_is_told(credential: str, kind: str) -> None:
    # A fresh secret where one letter names its sort: a test has no secret in its name.
    assert looks_like(new_secret(credential) if len(credential) == 1 else credential) == kind


async def test_one_of_the_house_who_looks_at_a_tenants_own_is_told_of_once_a_minute() -> None:
    house = House()
    await house.create("alice")
    tenant = await house.tenant()
    member = Actor(kind=ActorKind.USER, id="usr_1", tenants={"alice": TenantRole.MEMBER})
    for _ in range(3):
        await house.records.looked(ADMIN, tenant, Look.LOG)
        await house.records.looked(member, tenant, Look.LOG)
    await house.records.looked(ADMIN, tenant, Look.INBOX)
    house.clock.turn(60)
    await house.records.looked(ADMIN, tenant, Look.LOG)
    async with house.store.look() as tx:
        looks = await tx.chain.lines(Sought(action="tenant.looked"))
    assert [(line["actor"], line["detail"]) for line in looks] == [
        ("admin", '{"what":"log"}'),
        ("admin", '{"what":"inbox"}'),
        ("admin", '{"what":"log"}'),
    ]
