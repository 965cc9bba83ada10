"""What may go wrong with backups: processes that die at each step, targets that are full, gone, locked or damaged,
tenants that go meanwhile. Everybody thaws, nothing half-done counts, and it is gone on with."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.instance import State
from innkeeper.core.operations import Status
from innkeeper.core.ports.snapshots import Repository
from innkeeper.core.snapshots import Origin
from innkeeper.core.taking import STILL
from innkeeper.core.works import Tell
from innkeeper.units import memory
from tests.backups.house import Bench, at_work, make, opened
from tests.restic.deposits import MadeUpKeys, content, near, needs_root


class Death(BaseException):
    """The process dies here: nothing may catch this."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Nothing is carried out yet."""
    bench = make(tmp_path)
    yield bench
    bench.keeping.stills.close()
    shutil.rmtree(memory.folder_for(tmp_path), ignore_errors=True)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        yield bench


STEPS = [
    "stills.prepare",
    "stills.take",
    "stills.lay_out",
    "stills.beside",
    "stills.clear",
    "stills.keep",
    "snapshots.save",
    "snapshots.check",
    "snapshots.copy",
    "aftercare.add",
    "aftercare.good",
    "aftercare.retain",
]


def dying(bench: Bench, step: str, *, after: bool) -> None:
    """The next call of that kind is the process's last act."""
    part, _, name = step.partition(".")
    owner = {"stills": bench.keeping.stills, "snapshots": bench.snapshots, "aftercare": bench.keeping.aftercare}[part]
    real: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def dies(*which: Any, **how: Any) -> Any:
        setattr(owner, name, real)
        if after:
            await real(*which, **how)
        raise Death

    setattr(owner, name, dies)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_wherever_the_process_dies_the_next_one_goes_on(bench: Bench, step: str, after: bool) -> None:
    tenant = await bench.tenant()
    operation = await bench.keeping.backups.create("alice", actor=SYSTEM)
    work = bench.keeping.backing_up
    dying(bench, step, after=after)
    lease = await bench.house.store.claim_work("alice", holder="one", for_s=30)
    assert lease is not None
    tell = Tell(operation, lease=lease, store=bench.house.store, bus=bench.house.bus, clock=bench.house.clock)
    with pytest.raises(Death):
        await work.carry_out(operation, tell)
    await bench.house.store.release(lease)
    async with at_work(bench, "two"):
        ended = await bench.over(operation)
    assert ended.error is None
    await bench.house.settle()
    assert (await bench.house.runtime.get("alice")).state is State.RUNNING
    [snapshot] = await bench.rows(tenant.id)
    assert snapshot.is_good
    assert sorted(snapshot.copies) == ["local", "remote"]
    assert content(await bench.restored(snapshot, "remote") / "persistence") == content(bench.home())
    listed = await bench.snapshots.listing(Repository(target="local", owner=tenant.id))
    assert [each.id for each in listed if STILL in each.tags] == [snapshot.copies["local"]]
    assert await bench.keeping.stills.staged() == []


async def test_who_is_frozen_as_the_process_dies_is_thawed_by_the_next(bench: Bench) -> None:
    await bench.tenant()
    operation = await bench.keeping.backups.create("alice", actor=SYSTEM)
    frozen = asyncio.Event()
    take = bench.keeping.stills.take

    async def hangs(*which: Any, **how: Any) -> Any:
        frozen.set()
        await asyncio.Event().wait()

    bench.keeping.stills.take = hangs  # type: ignore[method-assign]
    loops = at_work(bench)
    async with loops:
        await frozen.wait()
        assert (await bench.house.runtime.get("alice")).state is State.PAUSED
    # The process was stopped; one that is killed leaves it so, and the reconciler does what it does here.
    await bench.house.settle()
    assert (await bench.house.runtime.get("alice")).state is State.RUNNING
    bench.keeping.stills.take = take  # type: ignore[method-assign]
    async with at_work(bench, "two"):
        assert (await bench.over(operation)).error is None


async def test_what_a_dead_work_left_is_removed_at_the_start(bench: Bench) -> None:
    await bench.keeping.stills.room("op_gone", "databases")
    await bench.tenant()
    open_ = await bench.keeping.backups.create("alice", actor=SYSTEM)
    await bench.keeping.stills.room(open_.id, "databases")
    await bench.keeping.loops.tidy()
    assert await bench.keeping.stills.staged() == [open_.id]


async def test_a_tenant_that_is_deleted_meanwhile_ends_its_backup(running: Bench) -> None:
    await running.tenant()
    house = running.house
    await house.control.delete("alice", purge=True, actor=SYSTEM)
    ended = await running.backup_or_none("alice")
    assert ended is None
    await house.settle()


async def test_a_second_target_that_fails_is_tried_again_and_nothing_is_taken_twice(running: Bench) -> None:
    tenant = await running.tenant()
    second = running.data / "second"
    second.write_text("no folder at all")
    ended = await running.backup()
    assert ended.status is Status.FAILED
    state = await running.state()
    assert (list(state.good), state.failures) == (["local"], 1)
    second.unlink()
    now = running.house.clock.now()
    detail = {"origin": Origin.SCHEDULE, "due_since": now.isoformat()}
    again = await running.keeping.backups.begin("alice", actor=SYSTEM, detail=detail)
    assert (await running.over(again)).error is None
    [snapshot] = await running.rows(tenant.id)
    assert sorted(snapshot.copies) == ["local", "remote"]
    assert (await running.state()).failures == 0


@pytest.mark.parametrize("place", ["first", "second"])
async def test_a_lock_that_a_dead_process_has_left_is_removed(running: Bench, place: str) -> None:
    tenant = await running.tenant()
    await running.result()
    locked = await asyncio.to_thread(_an_exclusive_lock, running.data / place / tenant.id)
    (running.home() / "new").write_bytes(b"new")
    assert (await running.backup()).error is None
    assert not locked.exists()


def _an_exclusive_lock(repository: Path) -> Path:
    """As a prune leaves it that is killed."""
    environment = {**os.environ, "RESTIC_PASSWORD": f"right-{repository.name}", "RESTIC_REPOSITORY": str(repository)}
    locks = repository / "locks"
    while True:
        pruning = subprocess.Popen(["restic", "-q", "check"], env=environment, stdout=subprocess.DEVNULL)
        while pruning.poll() is None and not any("-tmp-" not in each.name for each in locks.iterdir()):
            time.sleep(0.001)
        pruning.kill()
        pruning.wait()
        if found := [each for each in locks.iterdir() if "-tmp-" not in each.name]:
            return found[0]


async def test_the_wrong_key_is_told_and_nothing_is_made_anew(tmp_path: Path) -> None:
    bench = make(tmp_path)
    tenant = await bench.tenant()
    async with at_work(bench):
        await bench.result()
    other = make(tmp_path, bench.house, snapshots=near(tmp_path, keys=MadeUpKeys("wrong")))
    (bench.home() / "new").write_bytes(b"new")
    async with at_work(other, "two"):
        ended = await other.backup()
    assert ended.error is not None
    assert ended.error.code == "target_refused"
    assert (await other.state()).error == ended.error
    assert len(await other.rows(tenant.id)) == 1


@needs_root
async def test_a_full_target_is_told_and_gone_on_with(running: Bench) -> None:
    first = running.data / "first"
    first.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(first)], check=True)
    try:
        await running.tenant(files={"large": os.urandom(5 << 20)})
        ended = await running.backup()
        assert ended.error is not None
        assert ended.error.code == "target_full"
        assert (await running.house.runtime.get("alice")).state is State.RUNNING
        (running.home() / "large").write_bytes(b"small")
        subprocess.run(["mount", "-o", "remount,size=50m", str(first)], check=True)
        assert (await running.backup()).error is None
    finally:
        subprocess.run(["umount", "--lazy", str(first)], check=True)


async def test_a_damaged_pack_is_found_told_and_never_counts_as_good(running: Bench) -> None:
    await running.tenant(files={f"f{number}": os.urandom(30_000) for number in range(20)})
    await running.result()
    snapshot = await running.newest()
    for pack in (running.data / "first").rglob("data/*/*"):
        broken = bytearray(pack.read_bytes())
        broken[100:200] = bytes(100)
        pack.chmod(0o600)
        pack.write_bytes(broken)
    ended = await running.over(await running.keeping.backups.verify("alice", snapshot.id, whole=True, actor=SYSTEM))
    assert ended.error is not None
    assert ended.error.code == "snapshot_damaged"
    assert [alert.code for alert in running.alerts] == ["backup.damaged"]
    assert "local" in running.alerts[0].says


async def test_a_target_that_was_emptied_begins_anew(running: Bench) -> None:
    tenant = await running.tenant()
    await running.result()
    shutil.rmtree(running.data / "first")
    (running.home() / "new").write_bytes(b"new")
    assert (await running.backup()).error is None
    snapshot = await running.newest()
    assert content(await running.restored(snapshot) / "persistence") == content(running.home())
    await running.over(await running.keeping.backups.prune("alice", actor=SYSTEM))
    assert [sorted(each.copies) for each in await running.rows(tenant.id)] == [["local", "remote"], ["remote"]]


@pytest.mark.parametrize("place", ["first", "second"])
async def test_a_target_that_was_emptied_is_found_out_though_nothing_changed(running: Bench, place: str) -> None:
    await running.tenant()
    await running.result()
    target = "local" if place == "first" else "remote"
    shutil.rmtree(running.data / place)
    await running.result()
    assert [each.code for each in running.alerts] == ["backup.lost"]
    snapshot = await running.newest()
    assert sorted(snapshot.copies) == sorted((await running.state()).good) == ["local", "remote"]
    assert content(await running.restored(snapshot, target) / "persistence") == content(running.home())
    shutil.rmtree(running.data / place)
    looked = await running.over(await running.keeping.backups.verify("alice", None, whole=False, actor=SYSTEM))
    assert looked.error is not None
    assert f"at the target {target}" in looked.error.message
    assert target not in (await running.state()).good


async def test_snapshots_that_nothing_is_known_of_are_found_again(running: Bench) -> None:
    tenant = await running.tenant()
    await running.result()
    before = await running.newest()
    async with running.house.store.begin() as tx:
        await tx.snapshots.drop_owner(tenant.id)
    assert await running.keeping.aftercare.adopt(tenant.id, "alice") == 1
    [found] = await running.rows(tenant.id)
    assert (found.id, found.copies, found.origin) == (before.id, before.copies, Origin.FOUND)
    assert not found.is_good, "nobody has looked it through yet"
    await running.over(await running.keeping.backups.verify("alice", None, whole=False, actor=SYSTEM))
    assert (await running.newest()).is_good


async def test_old_ones_are_dropped_everywhere_but_never_the_last_good_one(running: Bench) -> None:
    tenant = await running.tenant()
    for day in range(10):
        (running.home() / "diary").write_text(f"day {day}")
        await running.result()
        running.house.clock.turn(86_400)
    kept = await running.rows(tenant.id)
    assert sum("local" in each.copies for each in kept) == 7
    assert sum("remote" in each.copies for each in kept) == 10
    for target, count in (("local", 7), ("remote", 10)):
        listed = await running.snapshots.listing(Repository(target=target, owner=tenant.id))
        assert sum(STILL in each.tags for each in listed) == count
    running.house.clock.turn(timedelta(days=400).total_seconds())
    await running.over(await running.keeping.backups.prune("alice", actor=SYSTEM))
    assert (await running.newest()).is_good


@needs_root
async def test_a_tree_that_is_made_to_lead_out_leads_nowhere(running: Bench) -> None:
    await running.tenant()
    outside = running.data / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"hunter2")
    (running.home() / "way").symlink_to(outside)
    (running.home() / "file").symlink_to(outside / "secret")
    os.mkfifo(running.home() / "pipe")
    await running.result()
    restored = await running.restored(await running.newest()) / "persistence"
    assert (restored / "way").readlink() == outside
    assert b"hunter2" not in b"".join(each or b"" for each in content(restored).values())
