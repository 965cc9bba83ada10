"""Damage at the targets of backups: found, told and mended, and the next backup ends in a good snapshot."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.mending import MENDED
from innkeeper.core.snapshot_errors import TargetUnknown
from innkeeper.core.snapshots import SUSPECT, Snapshot
from innkeeper.core.works import RESULT, Tell
from innkeeper.units import memory
from tests.backups.house import Bench, at_work, make, opened
from tests.backups.test_faults import Death
from tests.restic.deposits import MadeUpKeys, content, near
from tests.restic.test_mending import flipped


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        yield bench


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Bench]:
    """Nothing is carried out yet."""
    bench = make(tmp_path)
    yield bench
    bench.keeping.stills.close()
    shutil.rmtree(memory.folder_for(tmp_path), ignore_errors=True)


async def with_two(bench: Bench) -> tuple[Snapshot, Snapshot]:
    """Two snapshots, the first of which has a file that is gone; the newer one first."""
    tenant = await bench.tenant(files={"note.md": b"I remember", "gone.bin": os.urandom(300_000)})
    await bench.result()
    (bench.home() / "gone.bin").unlink()
    (bench.home() / "more.bin").write_bytes(os.urandom(100_000))
    await bench.result()
    newer, older = await bench.rows(tenant.id)
    return newer, older


def repository(bench: Bench, place: str, owner: str) -> Path:
    return bench.data / place / owner


def biggest(folder: Path) -> Path:
    return max(folder.glob("data/*/*"), key=lambda path: path.stat().st_size)


def all_flipped(folder: Path, kind: str) -> None:
    for path in list(folder.glob(kind)):
        flipped(path)


SPOILS: dict[str, Callable[[Path], object]] = {
    "a pack gone": lambda folder: biggest(folder).unlink(),
    "indexes damaged": lambda folder: all_flipped(folder, "index/*"),
    "snapshots damaged": lambda folder: all_flipped(folder, "snapshots/*"),
    "config gone": lambda folder: (folder / "config").unlink(),
    "keys damaged": lambda folder: all_flipped(folder, "keys/*"),
}


@pytest.mark.parametrize(
    ("what", "place"),
    [*((what, "first") for what in SPOILS), *((what, "second") for what in ("a pack gone", "config gone"))],
)
async def test_the_next_backup_ends_in_a_good_snapshot_and_nothing_that_one_place_has_is_lost(
    bench: Bench, what: str, place: str
) -> None:
    newer, _ = await with_two(bench)
    SPOILS[what](repository(bench, place, newer.owner))
    (bench.home() / "new").write_bytes(b"new")
    result = await bench.result()
    target = {"first": "local", "second": "remote"}[place]
    assert list(result["repaired"]) == [target]
    found = await bench.rows(newer.owner)
    assert [(each.is_good, sorted(each.whole_at)) for each in found] == [(True, ["local", "remote"])] * 3
    assert content(await bench.restored(found[0], target) / "persistence") == content(bench.home())
    assert b"gone.bin" in content(await bench.restored(found[-1], target) / "persistence")
    assert (await bench.state()).good == dict.fromkeys(("local", "remote"), found[0].confirmed_at)
    assert [alert.code for alert in bench.alerts].count("backup.mended") == 1
    (bench.home() / "new").write_bytes(b"newer")
    assert "repaired" not in await bench.result()


async def test_what_a_verify_finds_counts_as_nothing_until_the_next_backup_has_mended_it(bench: Bench) -> None:
    newer, older = await with_two(bench)
    for place in ("first", "second"):
        flipped(biggest(repository(bench, place, newer.owner)))
    ended = await bench.over(await bench.keeping.backups.verify("alice", newer.id, whole=True, actor=SYSTEM))
    assert ended.error is not None
    assert ended.error.code == "snapshot_damaged"
    assert dict((await bench.newest()).damage) == {"local": SUSPECT}
    assert list((await bench.state()).good) == ["remote"]
    result = await bench.result()
    assert sorted(result["repaired"]) == ["local"], "at the other place nobody has noticed"
    found = {each.id: each for each in await bench.rows(newer.owner)}
    assert found[newer.id].is_good, "what it lacked was in the folder still"
    assert content(await bench.restored(await bench.newest()) / "persistence") == content(bench.home())
    # What only the other place could have given, and hasn't whole either, is kept, told, and no good.
    await bench.over(await bench.keeping.backups.repair("alice", None, actor=SYSTEM))
    found = {each.id: each for each in await bench.rows(newer.owner)}
    assert sorted(found[older.id].damage) == ["local", "remote"]
    assert not found[older.id].is_good
    assert found[older.id].wrong is not None
    assert found[newer.id].is_good
    assert older.id in bench.alerts[-1].says
    # It is in nobody's way: what comes after is verified, listed and tidied up.
    (bench.home() / "new").write_bytes(b"new")
    await bench.result()
    assert (await bench.over(await bench.keeping.backups.prune("alice", actor=SYSTEM))).error is None
    assert older.id in [each.id for each in await bench.rows(newer.owner)]
    bench.house.clock.turn(31 * 86_400)
    (bench.home() / "new").write_bytes(b"newer")
    await bench.result()
    assert (await bench.over(await bench.keeping.backups.prune("alice", actor=SYSTEM))).error is None
    assert older.id not in [each.id for each in await bench.rows(newer.owner)]


STEPS = ["snapshots.mend", "mending.look", "aftercare.copy_over", "mending.settle"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_wherever_the_process_dies_the_next_one_mends_on(still: Bench, step: str, after: bool) -> None:
    async with at_work(still, "zero"):
        newer, _ = await with_two(still)
    biggest(repository(still, "first", newer.owner)).unlink()
    (still.home() / "new").write_bytes(b"new")
    operation = await still.keeping.backups.create("alice", actor=SYSTEM)
    dying(still, step, after=after)
    lease = await still.house.store.claim_work("alice", holder="one", for_s=30)
    assert lease is not None
    tell = Tell(operation, lease=lease, store=still.house.store, bus=still.house.bus, clock=still.house.clock)
    with pytest.raises(Death):
        await still.keeping.backing_up.carry_out(operation, tell)
    await still.house.store.release(lease)
    async with at_work(still, "two"):
        ended = await still.over(operation)
        assert ended.error is None
    found = await still.rows(newer.owner)
    assert [(each.is_good, sorted(each.whole_at)) for each in found] == [(True, ["local", "remote"])] * 3


def dying(bench: Bench, step: str, *, after: bool) -> None:
    part, _, name = step.partition(".")
    keeping = bench.keeping
    owner = {"snapshots": bench.snapshots, "aftercare": keeping.aftercare, "mending": keeping.backing_up._mending}[part]
    real: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def dies(*which: Any, **how: Any) -> Any:
        setattr(owner, name, real)
        if after:
            await real(*which, **how)
        raise Death

    setattr(owner, name, dies)


async def test_it_is_done_by_order_too_and_once_for_all_who_ask(still: Bench) -> None:
    async with at_work(still, "one"):
        newer, _ = await with_two(still)
    (repository(still, "first", newer.owner) / "config").unlink()
    backups = still.keeping.backups
    one, other = [await backups.repair("alice", "local", actor=SYSTEM) for _ in range(2)]
    assert one.id == other.id
    assert (await backups.repair("alice", None, actor=SYSTEM)).id != one.id
    pruning, again = [await backups.prune("alice", actor=SYSTEM) for _ in range(2)]
    assert pruning.id == again.id
    with pytest.raises(TargetUnknown):
        await backups.repair("alice", "nowhere", actor=SYSTEM)
    async with at_work(still, "two"):
        ended = await still.over(one)
    assert ended.error is None
    assert list(ended.detail[MENDED]) == ["local"]
    assert sorted(ended.detail[RESULT]["whole"]) == sorted(each.id for each in await still.rows(newer.owner))


async def test_the_databases_repository_is_mended_too(bench: Bench) -> None:
    await bench.over(await bench.keeping.backups.create_of_control(actor=SYSTEM))
    (repository(bench, "first", "control") / "config").unlink()
    ended = await bench.over(await bench.keeping.backups.create_of_control(actor=SYSTEM))
    assert ended.error is None
    assert [each.is_good for each in await bench.rows("control")] == [True, True]


async def test_it_isnt_done_twice_a_day_by_itself_nor_where_that_is_off(still: Bench) -> None:
    async with at_work(still, "one"):
        newer, _ = await with_two(still)
        mending = still.keeping.backing_up._mending
        mending._by_itself = False
        (still.home() / "new").write_bytes(b"new")
        (repository(still, "first", newer.owner) / "config").unlink()
        ended = await still.backup()
        assert ended.error is not None
        assert ended.error.code == "snapshot_damaged"
        mending._by_itself = True
        assert "repaired" in await still.result()
        (still.home() / "new").write_bytes(b"newer")
        (repository(still, "first", newer.owner) / "config").unlink()
        assert (await still.backup()).error is not None
        still.house.clock.turn(86_400)
        assert "repaired" in await still.result()


async def test_a_repository_of_another_key_is_left_as_it_is(tmp_path: Path) -> None:
    bench = make(tmp_path)
    async with at_work(bench):
        newer, _ = await with_two(bench)
    folder = repository(bench, "first", newer.owner)
    (folder / "config").unlink()
    before = content(folder)
    other = make(tmp_path, bench.house, snapshots=near(tmp_path, keys=MadeUpKeys("wrong")))
    (bench.home() / "new").write_bytes(b"new")
    async with at_work(other, "two"):
        ended = await other.backup()
    assert ended.error is not None
    assert ended.error.code == "target_refused"
    assert content(folder) == before
    for each in (bench, other):
        await asyncio.to_thread(each.keeping.stills.close)
