"""What every store must keep of snapshots: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.operations import Trouble
from innkeeper.core.ports import Store
from innkeeper.core.snapshots import BackupState, Origin, Snapshot
from tests.store.databases import DRIVERS, opened
from tests.store.examples import NOON, entry, issuing, tenant

HOUR = timedelta(hours=1)
PLAIN = Snapshot(
    id="snap_1", owner="t_a", tenant="a", taken_at=NOON, confirmed_at=NOON, origin=Origin.SCHEDULE, files=3, bytes=9
)
ELABORATE = Snapshot(
    id="snap_2",
    owner="t_a",
    tenant="a",
    taken_at=NOON + HOUR,
    origin=Origin.SAFETY,
    operation="op_1",
    agent="openclaw",
    release="2026.9.6",
    revision=7,
    mark="ab" * 32,
    files=20_000,
    bytes=1 << 40,
    bytes_added=1 << 33,
    consented=False,
    frozen_ms=321,
    copies={"local": "aa", "remote": "bb"},
    confirmed_at=NOON + 2 * HOUR,
    databases=2,
    verified_at=NOON + 3 * HOUR,
    proven_at=NOON + 4 * HOUR,
    damaged="ü is broken",
    damage={"remote": "a file of it is gone"},
    broken={"sub/ü.db": "malformed"},
    kept_for="op_2",
)
STATE = BackupState(
    owner="t_a",
    tenant="a",
    good={"local": NOON, "remote": NOON - HOUR},
    tried_at=NOON,
    failures=3,
    error=Trouble(code="target_full", message="It is full.", hint="Make room."),
    alerted_at=NOON,
    live="cc",
    shares=4,
    pruned_at=NOON,
    mended={"local": NOON - HOUR},
)


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as store:
        async with store.begin() as write:
            await write.add_tenant(tenant("a", 0))
        yield store


async def test_they_come_back_as_they_were_the_newest_first(store: Store) -> None:
    control = replace(PLAIN, id="snap_0", owner="control", tenant="")
    namesake = replace(PLAIN, id="snap_3", owner="t_other", taken_at=NOON - HOUR)
    async with store.begin() as write:
        for each in (PLAIN, ELABORATE, control, namesake):
            await write.snapshots.put(each)
    async with store.look() as read:
        assert await read.snapshots.of("t_a") == [ELABORATE, PLAIN]
        assert await read.snapshots.of_tenant("a") == [ELABORATE, PLAIN, namesake]
        assert await read.snapshots.of("control") == [control]
        assert await read.snapshots.get("snap_2") == ELABORATE
        assert await read.snapshots.get("snap_9") is None


async def test_one_that_is_written_again_takes_its_own_place(store: Store) -> None:
    async with store.begin() as write:
        await write.snapshots.put(ELABORATE)
        await write.snapshots.put(replace(ELABORATE, damaged=None))
    async with store.begin() as write:
        assert await write.snapshots.of("t_a") == [replace(ELABORATE, damaged=None)]
        await write.snapshots.drop(["snap_2", "snap_9"])
        await write.snapshots.drop([])
        assert await write.snapshots.of("t_a") == []


async def test_states_are_kept_by_owner(store: Store) -> None:
    plain = BackupState(owner="control", tenant="")
    async with store.begin() as write:
        assert await write.snapshots.state("t_a") is None
        await write.snapshots.put_state(replace(STATE, failures=9))
        await write.snapshots.put_state(STATE)
        await write.snapshots.put_state(plain)
    async with store.look() as read:
        assert await read.snapshots.state("t_a") == STATE
        assert dict(await read.snapshots.states()) == {"t_a": STATE, "control": plain}
        assert dict(await read.snapshots.states(limit=1)) == {"control": plain}
        assert dict(await read.snapshots.states(after="control", limit=1)) == {"t_a": STATE}


@pytest.mark.parametrize("purge", [True, False])
async def test_they_outlive_a_tenant_unless_that_is_purged(store: Store, purge: bool) -> None:
    async with store.begin() as write:
        await write.snapshots.put(PLAIN)
        await write.snapshots.put(replace(PLAIN, id="snap_0", owner="control"))
        await write.snapshots.put_state(STATE)
    lease = await store.claim("a", holder="one", for_s=30)
    assert lease is not None
    await store.erase(lease, "t_a", [], entry("tenant.erased"), issue=issuing("a") if purge else None)
    async with store.look() as read:
        assert [each.id for each in await read.snapshots.of("t_a")] == ([] if purge else ["snap_1"])
        assert (await read.snapshots.state("t_a") is None) is purge
        assert len(await read.snapshots.of("control")) == 1
