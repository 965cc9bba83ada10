"""What every store must keep, and how it gives it back: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.errors import Conflict, HostnameTaken, TenantExists, UnknownTenant
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Store
from innkeeper.core.release import Release
from innkeeper.core.tenant import Limits, Seen, Tenant, Wanted
from innkeeper.store.memory import MemoryStore
from tests.store import examples
from tests.store.databases import DRIVERS, opened
from tests.store.examples import (
    NOON,
    elaborate_past,
    elaborate_seen,
    elaborate_tenant,
    ended,
    entry,
    key,
    operation,
    receipt,
    tenant,
)


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as store:
        yield store


# --- tenants ----------------------------------------------------------------------------------------------------------


async def test_a_tenant_comes_back_as_it_was(store: Store) -> None:
    there = elaborate_tenant()
    async with store.begin() as write:
        await write.add_tenant(there)
        assert await write.tenant("elaborate") == there
    async with store.look() as read:
        back = await read.tenant("elaborate")
        assert back == there
        assert await read.tenant("absent") is None
    assert back is not None
    assert back.created_at.tzinfo is not None


async def test_moments_come_back_in_utc_on_a_real_database(store: Store) -> None:
    if isinstance(store, MemoryStore):
        pytest.skip("memory hands back the very object")
    async with store.begin() as write:
        await write.add_tenant(elaborate_tenant())
    async with store.look() as read:
        back = await read.tenant("elaborate")
    assert back is not None
    assert back.created_at.utcoffset() == timedelta(0)


async def test_pages_go_by_name_byte_by_byte(store: Store) -> None:
    names = ["a", "a-b", "a1", "ab", "b", "b-1", "b0"]
    async with store.begin() as write:
        for slot, name in enumerate(reversed(names)):
            await write.add_tenant(tenant(name, slot))
    async with store.look() as read:
        assert [t.name for t in await read.tenants()] == sorted(names)
        assert [t.name for t in await read.tenants(after="a1", limit=2)] == ["ab", "b"]
        assert [t.name for t in await read.tenants(after="b0")] == []
        assert [t.name for t in await read.tenants(after="a-a", limit=1)] == ["a-b"]


async def test_a_name_is_taken_once(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a", 0))
    with pytest.raises(TenantExists):
        async with store.begin() as write:
            await write.add_tenant(replace(tenant("a", 1), id="t_other"))
    async with store.look() as read:
        assert await read.tenants() == [tenant("a", 0)]


async def test_a_slot_is_taken_once(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a", 3))
    with pytest.raises(Conflict):
        async with store.begin() as write:
            await write.add_tenant(tenant("b", 3))


async def test_the_lowest_free_slot_is_found(store: Store) -> None:
    async with store.begin() as write:
        assert await write.free_slot() == 0
        for slot in (0, 1, 3, 4, 6):
            await write.add_tenant(tenant(f"n{slot}", slot))
        assert await write.free_slot() == 2
        await write.drop_tenant("n0", "t_n0")
        assert await write.free_slot() == 0
        await write.add_tenant(tenant("x", 0))
        await write.add_tenant(tenant("y", 2))
        assert await write.free_slot() == 5


async def test_a_change_leaves_alone_what_the_reconciler_writes(store: Store) -> None:
    before = tenant("a", 5, seen=elaborate_seen(), last_activity=NOON, past=elaborate_past())
    spec = replace(examples.PLAIN, limits=Limits(memory_mb=512, cpus=1.0))
    change = tenant("a", 9, revision=2, remade_at=2, wanted=Wanted.AWAKE, rung=Rung.STOPPED, purge=True, token_epoch=2)
    async with store.begin() as write:
        await write.add_tenant(before)
        await write.change_tenant(replace(change, spec=spec), from_revision=1)
    async with store.look() as read:
        expected = replace(change, spec=spec, slot=5, seen=elaborate_seen(), last_activity=NOON)
        assert await read.tenant("a") == replace(expected, past=elaborate_past())


async def test_what_was_measured_is_remembered_and_the_unknown_ignored(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    await store.remember({"a": elaborate_past(), "nobody": elaborate_past()})
    await store.remember({})
    async with store.look() as read:
        assert await read.tenants() == [tenant("a", past=elaborate_past())]


@pytest.mark.parametrize(
    ("change", "from_revision"),
    [(tenant("a", revision=3, id="t_other"), 2), (tenant("b", revision=3, id="t_a"), 2), (tenant("a", revision=3), 1)],
)
async def test_a_change_of_something_else_is_refused(store: Store, change: Tenant, from_revision: int) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a", revision=2))
    with pytest.raises(Conflict):
        async with store.begin() as write:
            await write.change_tenant(change, from_revision=from_revision)
    async with store.look() as read:
        assert await read.tenants() == [tenant("a", revision=2)]


async def test_hostnames_have_one_owner(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a", 0, hostnames=("x.org", "y.org")))
        await write.add_tenant(tenant("b", 1))
        assert await write.hostname_owner("y.org") == "a"
        assert await write.hostname_owner("z.org") is None
    with pytest.raises(HostnameTaken):
        async with store.begin() as write:
            await write.add_tenant(tenant("c", 2, hostnames=("x.org",)))
    with pytest.raises(HostnameTaken):
        async with store.begin() as write:
            await write.change_tenant(tenant("b", 1, hostnames=("z.org", "y.org"), revision=2), from_revision=1)
    async with store.begin() as write:
        assert await write.hostname_owner("z.org") is None
        await write.change_tenant(tenant("a", hostnames=("y.org", "z.org"), revision=2), from_revision=1)
        assert await write.hostname_owner("x.org") is None
        await write.change_tenant(tenant("b", 1, hostnames=("x.org",), revision=2), from_revision=1)
    async with store.look() as read:
        assert [await read.hostname_owner(f"{h}.org") for h in "xyz"] == ["b", "a", "a"]


async def test_states_are_counted_as_they_were_last_seen(store: Store) -> None:
    async with store.begin() as write:
        for slot, state in enumerate([State.PAUSED, State.PAUSED, State.ABSENT]):
            await write.add_tenant(tenant(f"n{slot}", slot, seen=Seen(state=state)))
        await write.reset_seen("n2", Seen(state=State.RUNNING))
        await write.reset_seen("nobody", Seen(state=State.FAILED))
    async with store.look() as read:
        assert dict(await read.count_states()) == {"paused": 2, "running": 1}


async def test_dropping_a_tenant_takes_all_that_hangs_on_it_and_nothing_else(store: Store) -> None:
    a, b = tenant("a", 0, hostnames=("x.org",)), tenant("b", 1)
    async with store.begin() as write:
        for number, one in enumerate((a, b)):
            await write.add_tenant(one)
            await write.add_key(key(number, one))
            await write.add_operation(operation(number, one))
            await write.add_receipt(receipt(operation(number, one), name=one.name))
        await write.audit(entry("tenant.deleted", a))
        await write.drop_tenant("a", "t_of_somebody_else")
        assert await write.tenant("a") == a
        await write.drop_tenant("a", a.id)
        await write.drop_tenant("a", a.id)
    async with store.look() as read:
        assert await read.tenants() == [b]
        assert await read.keys() == [key(1, b)]
        assert await read.hostname_owner("x.org") is None
        assert await read.receipt("admin", "a") is None
        assert await read.receipt("admin", "b") is not None
        assert len(await read.operations()) == 2
        assert [line.action for _, line in await read.trail()] == ["tenant.deleted"]


# --- operations, keys, receipts, releases, the trail ------------------------------------------------------------------


async def test_operations_are_kept_and_found(store: Store) -> None:
    a, b = tenant("a"), tenant("b")
    done, mine, other = ended(operation(1, a)), operation(2, a), operation(3, b)
    async with store.begin() as write:
        for one in (other, operation(1, a), mine):
            await write.add_operation(one)
        await write.put_operation(done)
        await write.put_operation(operation(9, a))  # nobody has added it
    async with store.look() as read:
        assert await read.operation("op_0001") == done
        assert await read.operation("op_0009") is None
        assert await read.operations() == [done, mine, other]
        assert await read.operations(tenant="a") == [done, mine]
        assert await read.operations(tenant="a", open_only=True) == [mine]
        assert await read.operations(open_only=True, after=mine.id) == [other]
        assert await read.operations(after=done.id, limit=1) == [mine]


async def test_keys_belong_to_a_tenant(store: Store) -> None:
    a, b = tenant("a", 0), tenant("b", 1)
    async with store.begin() as write:
        for one in (a, b):
            await write.add_tenant(one)
        for number, one in ((2, a), (1, a), (3, b)):
            await write.add_key(key(number, one))
        assert await write.drop_key("a", "k3") is False
        assert await write.drop_key("b", "k3") is True
        assert await write.drop_key("b", "k3") is False
    async with store.look() as read:
        assert await read.keys() == [key(1, a), key(2, a)]
        assert await read.keys("a") == [key(1, a), key(2, a)]
        assert await read.keys("b") == []
    with pytest.raises(UnknownTenant):
        async with store.begin() as write:
            await write.add_key(key(4, tenant("nobody")))


async def test_a_receipt_is_an_actors_own_and_given_once(store: Store) -> None:
    first = receipt(operation(1, tenant("a")))
    async with store.begin() as write:
        await write.add_receipt(first)
        await write.add_receipt(replace(first, actor="someone"))
    with pytest.raises(Conflict):
        async with store.begin() as write:
            await write.add_receipt(replace(first, fingerprint="other"))
    async with store.look() as read:
        assert await read.receipt("admin", "r1") == first
        assert await read.receipt("admin", "r2") is None


async def test_releases_are_replaced_and_ordered_by_version(store: Store) -> None:
    def release(agent: str, version: str, image: str = "sha256:1") -> Release:
        return Release(agent=agent, version=version, image=image, source="packages", size_mb=1, created_at=NOON)

    newer, older, bot = release("claw", "2026.9.10"), release("claw", "2026.9.6"), release("bot", "1")
    async with store.begin() as write:
        for one in (newer, older, bot, release("claw", "2026.9.6", "sha256:2")):
            await write.put_release(one)
    async with store.look() as read:
        assert await read.releases() == [bot, release("claw", "2026.9.6", "sha256:2"), newer]
        assert await read.releases("bot") == [bot]
        assert await read.releases("none") == []


async def test_the_trail_is_paged_and_remembers_the_dead(store: Store) -> None:
    a, b = tenant("a"), tenant("b")
    async with store.begin() as write:
        for one in (entry("tenant.created", a), entry("image.built"), entry("tenant.erased", a), entry("tenant.x", b)):
            await write.audit(one)
    async with store.look() as read:
        numbers, lines = zip(*await read.trail(), strict=True)
        assert list(numbers) == sorted(set(numbers))
        assert lines[0] == entry("tenant.created", a)
        assert [line.action for _, line in await read.trail(after=numbers[0], limit=2)] == [
            "image.built",
            "tenant.erased",
        ]
        assert [line.action for _, line in await read.trail(tenant="a")] == ["tenant.created", "tenant.erased"]
        assert await read.was_deleted(a.id)
        assert not await read.was_deleted(b.id)
