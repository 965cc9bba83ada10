"""What is taken before a restore in place: the present state, also a damaged one, and nothing where there is none."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.drill_catalogue import SnapshotCatalogue
from innkeeper.core.errors import Invalid
from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.ports import LEASE_FOR
from innkeeper.core.restore_asked import Asked, Mode, asked_of, told
from innkeeper.core.safety import RecordedSnapshots, SafetySnapshots
from innkeeper.core.shelf import Restorable, Shelf
from innkeeper.core.snapshot_errors import SnapshotDamaged
from innkeeper.core.works import Tell
from innkeeper.units.layout import FolderUnits
from tests.backups.house import Bench, opened
from tests.support.restoring import RepositoryKeys


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        await bench.tenant()
        yield bench


async def taken(bench: Bench) -> tuple[str | None, Operation]:
    house = bench.house
    tenant = await house.tenant()
    operation = bench.works.new(OperationKind.RESTORE, tenant)
    async with house.store.begin() as tx:
        await bench.works.add(tx, operation, actor=SYSTEM)
    lease = await house.store.claim_work("alice", holder="test", for_s=LEASE_FOR.total_seconds())
    assert lease is not None
    tell = Tell(operation, lease=lease, store=house.store, bus=house.bus, clock=house.clock)
    safety = SafetySnapshots(
        backing_up=bench.keeping.backing_up, store=house.store, units=FolderUnits(bench.data / "tenants")
    )
    try:
        return await safety.take(tenant, operation, tell), operation
    finally:
        await house.store.release(lease)


async def test_it_is_kept_for_the_restore_and_found_again(bench: Bench) -> None:
    saved, operation = await taken(bench)
    row = await bench.newest()
    assert (row.id, row.kept_for, row.origin) == (saved, operation.id, "safety")
    shelf = Shelf(bench.snapshots, RepositoryKeys(), recorded=RecordedSnapshots(bench.house.store).of)
    found = await shelf.find(row.owner)
    assert (found.id, found.is_good, dict(found.copies)) == (row.id, True, dict(row.copies))
    for said in (next(iter(row.copies.values()))[:8], row.id[:-4], "latest"):
        assert (await shelf.find(row.owner, snapshot=said)).id == row.id

    async def both(_owner: str) -> list[Restorable]:
        return [
            *await RecordedSnapshots(bench.house.store).of(row.owner),
            replace(found, id=row.id[:-1] + "!", copies={}),
        ]

    with pytest.raises(Invalid, match="2 snapshots begin with"):
        await Shelf(bench.snapshots, RepositoryKeys(), recorded=both).find(row.owner, snapshot=row.id[:-4])


async def test_a_database_that_is_broken_in_the_folder_is_told_with_it(bench: Bench) -> None:
    (bench.home() / "memory.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    saved, _ = await taken(bench)
    row = await bench.newest()
    shelf = Shelf(bench.snapshots, RepositoryKeys(), recorded=RecordedSnapshots(bench.house.store).of)
    found = await shelf.find(row.owner)
    assert (found.id, list(found.broken), row.is_good) == (saved, ["memory.sqlite"], True)
    asked = Asked(mode=Mode.IN_PLACE, snapshot=found)
    assert told(asked_of(asked.detail()).snapshot)["broken_databases"] == ["memory.sqlite"]
    drillable = await SnapshotCatalogue(store=bench.house.store, snapshots=bench.snapshots).newest(row.owner)
    assert drillable is not None
    assert drillable.broken == ["memory.sqlite"]


async def test_a_damaged_state_is_kept_all_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def whole(*which: object) -> dict[str, str]:
        return {}

    monkeypatch.setattr(bench.keeping.stills, "unsound_living", whole)
    (bench.home() / "memory.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    saved, _ = await taken(bench)
    row = await bench.newest()
    assert (row.id, row.damaged is not None) == (saved, True)
    shelf = Shelf(bench.snapshots, RepositoryKeys(), recorded=RecordedSnapshots(bench.house.store).of)
    with pytest.raises(SnapshotDamaged):
        await shelf.find(row.owner, snapshot=row.id)
    assert (await shelf.find(row.owner, snapshot=row.id, damaged_too=True)).id == row.id


async def test_where_there_is_nothing_nothing_is_taken(bench: Bench) -> None:
    shutil.rmtree(bench.home().parent)
    assert (await taken(bench))[0] is None
