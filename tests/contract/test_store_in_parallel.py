"""What every store must hold when several write at once: transactions and leases, on memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from innkeeper.core.errors import StaleLease, TenantExists
from innkeeper.core.operations import OperationKind, Status
from innkeeper.core.ports import Lease, Store
from innkeeper.core.tenant import Seen, Wanted
from tests.store.databases import DRIVERS, opened
from tests.store.examples import NOON, elaborate_seen, ended, entry, issuing, key, operation, receipt, tenant


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as store:
        yield store


async def claimed(store: Store, name: str = "a", for_s: float = 60) -> Lease:
    lease = await store.claim(name, holder="one", for_s=for_s)
    assert lease is not None
    return lease


# --- transactions -----------------------------------------------------------------------------------------------------


async def test_a_failed_block_leaves_nothing(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a", hostnames=("x.org",)))

    async def fail_in_the_end() -> None:
        async with store.begin() as write:
            await write.add_tenant(tenant("b", 1))
            await write.reset_seen("a", elaborate_seen())
            await write.audit(entry("tenant.created"))
            await write.add_tenant(tenant("a", 2))

    with pytest.raises(TenantExists):
        await fail_in_the_end()
    async with store.look() as read:
        assert await read.tenants() == [tenant("a", hostnames=("x.org",))]
        assert await read.trail() == []


async def test_a_cancelled_block_leaves_nothing_and_blocks_nobody(store: Store) -> None:
    inside = asyncio.Event()

    async def add_and_stay() -> None:
        async with store.begin() as write:
            await write.add_tenant(tenant("a"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(add_and_stay())
    await inside.wait()
    task.cancel()
    await asyncio.wait([task])
    async with store.begin() as write:
        assert await write.tenants() == []
        await write.add_tenant(tenant("b"))


async def test_a_look_waits_for_no_writer_and_sees_one_moment(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
        async with store.look() as read:
            assert await read.tenants() == []
    async with store.look() as read:
        assert len(await read.tenants()) == 1
        async with store.begin() as write:
            await write.add_tenant(tenant("b", 1))
        assert len(await read.tenants()) == 1


async def test_writers_wait_for_each_other(store: Store) -> None:
    async def add(name: str) -> None:
        async with store.begin() as write:
            slot = await write.free_slot()
            await asyncio.sleep(0)  # everybody else has a chance to read the same slot now
            await write.add_tenant(tenant(name, slot))

    await asyncio.gather(*(add(f"n{number}") for number in range(12)))
    async with store.look() as read:
        assert sorted(t.slot for t in await read.tenants()) == list(range(12))


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_a_lease_has_one_holder(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    lease = await claimed(store)
    assert lease.until.tzinfo == UTC
    assert await store.claim("a", holder="two", for_s=60) is None
    assert await store.claim("a", holder="one", for_s=60) is None
    assert await store.claim("nobody", holder="one", for_s=60) is None
    renewed = await store.renew(lease, for_s=120)
    assert renewed == replace(lease, until=renewed.until)
    assert renewed.until > lease.until
    await store.release(lease)
    await store.release(lease)
    assert await store.claim("a", holder="two", for_s=60) is not None


async def test_a_lease_from_before_the_clock_was_set_back_is_not_waited_for(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    of_the_dead = await claimed(store, for_s=3600)
    assert await store.claim("a", holder="two", for_s=60) is not None
    with pytest.raises(StaleLease):
        await store.renew(of_the_dead, for_s=60)


async def test_who_was_taken_over_from_can_do_no_harm(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
        await write.add_operation(operation(1, tenant("a")))
    slow = await claimed(store, for_s=0)
    quick = await store.claim("a", holder="two", for_s=60)
    assert quick is not None
    with pytest.raises(StaleLease):
        await store.renew(slow, for_s=60)
    with pytest.raises(StaleLease):
        await store.record(slow, elaborate_seen(), [ended(operation(1, tenant("a")))])
    with pytest.raises(StaleLease):
        await store.erase(slow, "t_a", [], entry("tenant.erased", tenant("a")))
    await store.release(slow)
    assert await store.claim("a", holder="three", for_s=60) is None
    async with store.look() as read:
        assert await read.tenants() == [tenant("a")]
        assert await read.operation("op_0001") == operation(1, tenant("a"))
        assert await read.trail() == []
    await store.record(quick, elaborate_seen())


async def test_an_expired_lease_that_nobody_took_still_holds(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    lease = await claimed(store, for_s=0)
    await store.record(lease, elaborate_seen())
    lease = await store.renew(lease, for_s=60)
    assert await store.claim("a", holder="two", for_s=60) is None


async def test_what_was_seen_is_recorded_with_its_operations(store: Store) -> None:
    there = tenant("a", revision=3, wanted=Wanted.AWAKE, last_activity=NOON)
    async with store.begin() as write:
        await write.add_tenant(there)
        await write.add_operation(operation(1, there))
    await store.record(await claimed(store), elaborate_seen(), [ended(operation(1, there))])
    async with store.look() as read:
        assert await read.tenant("a") == replace(there, seen=elaborate_seen())
        assert await read.operation("op_0001") == ended(operation(1, there))
        assert dict(await read.count_states()) == {"failed": 1}


async def test_a_change_between_two_records_is_kept(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    lease = await claimed(store)
    async with store.begin() as write:
        await write.change_tenant(tenant("a", revision=2, wanted=Wanted.GONE), from_revision=1)
    await store.record(lease, elaborate_seen())
    async with store.look() as read:
        assert await read.tenant("a") == tenant("a", revision=2, wanted=Wanted.GONE, seen=elaborate_seen())


async def test_activity_only_goes_forward(store: Store) -> None:
    soon, late = NOON + timedelta(microseconds=1), NOON + timedelta(days=1)
    async with store.begin() as write:
        await write.add_tenant(tenant("a", 0, seen=elaborate_seen()))
        await write.add_tenant(tenant("b", 1, last_activity=NOON))
    await store.touch({})
    await store.touch({"b": soon, "nobody": NOON, "a": late})
    await store.touch({"a": NOON, "b": NOON})
    async with store.look() as read:
        assert await read.tenants() == [
            tenant("a", 0, seen=elaborate_seen(), last_activity=late),
            tenant("b", 1, last_activity=soon),
        ]


async def test_erasing_ends_all_in_one(store: Store) -> None:
    gone = tenant("a", hostnames=("x.org",))
    async with store.begin() as write:
        await write.add_tenant(gone)
        await write.add_key(key(1, gone))
        await write.add_operation(operation(1, gone))
        await write.add_receipt(receipt(operation(1, gone)))
    lease = await claimed(store)
    with pytest.raises(StaleLease):
        await store.erase(lease, "t_of_another_of_that_name", [], entry("tenant.erased", gone))
    await store.erase(lease, gone.id, [ended(operation(1, gone))], entry("tenant.erased", gone))
    with pytest.raises(StaleLease):
        await store.erase(lease, gone.id, [], entry("tenant.erased", gone))
    with pytest.raises(StaleLease):
        await store.record(lease, Seen())
    async with store.look() as read:
        assert await read.tenants() == []
        assert await read.keys() == []
        assert await read.hostname_owner("x.org") is None
        assert await read.receipt("admin", "r1") is None
        assert await read.operation("op_0001") == ended(operation(1, gone))
        assert await read.was_deleted(gone.id)
        assert len(await read.trail()) == 1


async def test_a_purge_leaves_nothing_but_the_trail_which_knows_the_operation(store: Store) -> None:
    gone, other = tenant("a"), replace(tenant("b"), slot=1)
    async with store.begin() as write:
        for each in (gone, other):
            await write.add_tenant(each)
        for number, of in ((1, gone), (2, gone), (3, other)):
            await write.add_operation(operation(number, of))
    lease = await claimed(store)
    line = replace(entry("tenant.erased", gone), detail={"purge": True, "operations": ["op_0002"]})
    await store.erase(lease, gone.id, [ended(operation(2, gone))], line, issue=issuing("a"))
    async with store.look() as read:
        assert [left.id for left in await read.operations()] == ["op_0003"]
        named = await read.erasure_by("op_0002")
        assert named is not None
        assert line.detail.items() <= named.detail.items()
        for unknown in ("op_0001", "op_000_", "%", "", "p_0002"):
            assert await read.erasure_by(unknown) is None


async def test_a_new_tenant_of_an_old_name_has_no_lease(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    old = await claimed(store)
    async with store.begin() as write:
        await write.drop_tenant("a", "t_a")
        await write.add_tenant(replace(tenant("a"), id="t_new"))
    assert await store.claim("a", holder="two", for_s=60) is not None
    with pytest.raises(StaleLease):
        await store.record(old, elaborate_seen())


async def test_only_what_has_ended_and_is_old_is_forgotten(store: Store) -> None:
    a, later = tenant("a"), NOON + timedelta(hours=1)
    async with store.begin() as write:
        for one in (ended(operation(1, a)), operation(2, a), ended(operation(3, a), at=later)):
            await write.add_operation(one)
            await write.add_receipt(receipt(one, name=one.id, at=one.updated_at))
    assert await store.forget(before=NOON) == 0
    assert await store.forget(before=NOON + timedelta(seconds=1)) == 3
    async with store.look() as read:
        assert [o.id for o in await read.operations()] == ["op_0002", "op_0003"]
        assert await read.receipt("admin", "op_0001") is None
        assert await read.receipt("admin", "op_0003") is not None


# --- works ------------------------------------------------------------------------------------------------------------


async def claimed_work(store: Store, name: str = "a", for_s: float = 60) -> Lease:
    lease = await store.claim_work(name, holder="one", for_s=for_s)
    assert lease is not None
    return lease


async def test_one_at_a_time_works_on_a_name_beside_the_reconciler(store: Store) -> None:
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    steps = await claimed(store)
    lease = await claimed_work(store)
    assert await store.claim_work("a", holder="two", for_s=60) is None
    await claimed_work(store, "nobody")  # it may be about to come into being
    await store.release(steps)
    assert await store.claim_work("a", holder="two", for_s=60) is None
    await store.release(lease)
    assert (await store.claim_work("a", holder="two", for_s=60)) is not None


async def test_the_lease_of_a_dead_worker_passes_on(store: Store) -> None:
    dead = await claimed_work(store, for_s=-1)
    await claimed_work(store)
    with pytest.raises(StaleLease):
        await store.renew(dead, for_s=60)
    await store.release(dead)
    assert await store.claim_work("a", holder="three", for_s=60) is None, "what isn't ours isn't given back"


async def test_a_lease_from_before_the_clock_was_set_back_is_nobodys_for_works_too(store: Store) -> None:
    ahead = await claimed_work(store, for_s=3600)
    await claimed_work(store)
    with pytest.raises(StaleLease):
        await store.renew(ahead, for_s=60)


async def test_a_work_is_written_down_only_by_whoever_has_it(store: Store) -> None:
    one = operation(1, tenant("a"), kind=OperationKind.BACKUP, detail={"what": "all", "paths": ["\u00e9"]})
    async with store.begin() as write:
        await write.add_operation(one)
    lease = await store.renew(await claimed_work(store), for_s=60)
    moved = replace(one, detail={**one.detail, "phase": "half"}, status=Status.RUNNING)
    await store.record_work(lease, moved)
    async with store.look() as read:
        assert await read.operation(one.id) == moved
    await store.release(lease)
    with pytest.raises(StaleLease):
        await store.record_work(lease, replace(moved, detail={}))
    async with store.look() as read:
        assert await read.operation(one.id) == moved
