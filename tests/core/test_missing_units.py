"""A tenant whose folder is gone doesn't start on an empty one, where there are snapshots of what lay in it."""

from __future__ import annotations

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.instance import State
from innkeeper.core.missing_units import UnitMissing
from innkeeper.core.snapshots import Origin, Snapshot
from tests.support.house import House


@pytest.fixture
async def house() -> House:
    house = House()
    await house.create()
    await house.settle()
    return house


async def snapshotted(house: House, *, damaged: str | None = None) -> None:
    tenant, now = await house.tenant(), house.clock.now()
    kept = Snapshot(
        id="snap_1", owner=tenant.id, tenant=tenant.name, taken_at=now, confirmed_at=now, origin=Origin.SCHEDULE,
        files=3, bytes=9, damaged=damaged,
    )  # fmt: skip
    async with house.store.begin() as tx:
        await tx.snapshots.put(kept)


async def started_without_its_folder(house: House) -> None:
    await house.units.erase("alice")
    await house.control.restart("alice", actor=SYSTEM)
    await house.settle()


async def test_one_with_snapshots_waits_for_its_folder(house: House) -> None:
    await snapshotted(house)
    with pytest.raises(UnitMissing):
        await started_without_its_folder(house)
    assert "alice" not in house.units.folders, "no empty one takes its place"
    assert (await house.runtime.get("alice")).state is State.ABSENT
    assert "snapshots" in str((await house.tenant()).seen.error)
    house.units.folders["alice"] = {}  # the disk is mounted again
    await house.settle()
    assert (await house.tenant()).seen.ready


@pytest.mark.parametrize("damaged", [None, "It doesn't open."])
async def test_one_without_any_that_could_be_restored_begins_anew(house: House, damaged: str | None) -> None:
    if damaged:
        await snapshotted(house, damaged=damaged)
    await started_without_its_folder(house)
    assert (await house.tenant()).seen.ready
