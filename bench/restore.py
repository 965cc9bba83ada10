"""Restores in place: how long until it is ready, how long it is down, and what bare restic takes to unpack the same."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from time import perf_counter

from bench.backup import CHANGED, FILES, QUICK_FILES, QUICK_SIZE_MB, SIZE_MB, _change, _grow
from bench.report import Area, Floor, Judged, Row, Target, row
from bench.samples import samples
from innkeeper.core.access import SYSTEM
from innkeeper.core.events import StateChanged, TenantChanged, utc_now
from innkeeper.core.safety import SafetySnapshots
from innkeeper.loops.supervise import Supervisor
from innkeeper.loops.works import WorkLoops
from innkeeper.units.layout import FolderUnits
from tests.backups.house import make
from tests.support.restoring import RestoringHouse

ROUNDS, QUICK_ROUNDS = 4, 2
BIG = "big"


async def measure(*, quick: bool) -> Area:
    """A large unit, changed a little since its snapshot, restored in place again and again."""
    files, size_mb = (QUICK_FILES, QUICK_SIZE_MB) if quick else (FILES, SIZE_MB)
    with tempfile.TemporaryDirectory(prefix="innkeeper-bench-", dir=os.environ.get("INNKEEPER_BENCH_DIR")) as folder:
        rows = await _large(Path(folder), files, size_mb, QUICK_ROUNDS if quick else ROUNDS)
    return Area(
        name="restore",
        how=f"{files:,} files of {size_mb} MB together, random; {CHANGED:.0%} of them are changed, then the tenant is "
        "restored in place, with a snapshot of the present state first. restic, its sandbox and all files are real; "
        "the tenant is in memory, so no agent's own start is in it. Bare restic unpacks the same snapshot right after.",
        rows=rows,
    )


async def _large(folder: Path, files: int, size_mb: int, rounds: int) -> list[Row]:
    rng = random.Random(6)
    house = RestoringHouse(folder)
    keeping = make(folder, house, snapshots=house.repositories, entries_max=100_000).keeping
    units = FolderUnits(folder / "tenants")
    safety = SafetySnapshots(backing_up=keeping.backing_up, store=house.store, units=units)
    house.safety_by, house.ahead_by = safety.take, safety.ahead
    works = WorkLoops(keeping.works, store=house.store, bus=house.bus, clock=house.clock, holder="backups")
    works.add(house.restoring)
    supervisor = Supervisor()
    works.start(supervisor)
    total, ready, down, bare = [], [], [], []
    async with house.running(works=False), supervisor.running():
        tenant = await house.born(BIG)
        paths = await asyncio.to_thread(_grow, house.data(BIG), files, size_mb, rng)
        first = await house.ended(await keeping.backups.create(BIG, actor=SYSTEM), within_s=900)
        snapshot = first.detail["result"]["snapshot"]
        copy = (await house.shelf.find(tenant.id, snapshot=snapshot)).copies["local"]
        for _ in range(rounds):
            await house.ended(await keeping.backups.create(BIG, actor=SYSTEM), within_s=900)  # the night's
            await asyncio.to_thread(_change, rng.sample(paths, int(files * CHANGED)), rng)
            house.happened.clear()
            began, began_at = perf_counter(), utc_now()
            operation = await house.restores.in_place(BIG, actor=SYSTEM, snapshot=snapshot)
            ended = await house.ended(operation, within_s=900)
            total.append(perf_counter() - began)
            assert ended.error is None, ended.error
            closed, ready_at = _moments(house)
            ready.append((ready_at - began_at).total_seconds())
            down.append((ready_at - closed).total_seconds())
            bare.append(await asyncio.to_thread(_bare, folder, tenant.id, copy))
    await asyncio.to_thread(keeping.stills.close)
    floor = Floor(what="bare restic unpacks", value=samples(bare).p50)
    return [
        row("from asked for to ready, in place", samples(ready), "s", floor=floor,
            target=Target(judged=Judged.RATIO, at_most=2.0)),
        row("of that, the tenant is down", samples(down), "s",
            note="a snapshot of what was written since the last one, and the folders change places"),
        row("until the former folder is erased, too", samples(total), "s"),
    ]  # fmt: skip


def _moments(house: RestoringHouse) -> tuple[datetime, datetime]:
    """When it was closed, and when it was ready again."""
    closed = next(each.at for each in house.happened if isinstance(each, TenantChanged) and each.now.closed)
    ups = (each for each in house.happened if isinstance(each, StateChanged) and each.now.closed is None)
    return closed, next(each.at for each in ups if each.at > closed and each.now.seen.ready)


def _bare(folder: Path, owner: str, snapshot: str) -> float:
    into = folder / "bare"
    began = perf_counter()
    subprocess.run(
        ["restic", "--quiet", "--no-cache", "--no-lock", "restore", snapshot, "--target", str(into)],
        env={
            **os.environ,
            "RESTIC_REPOSITORY": str(folder / "local-repositories" / owner),
            "RESTIC_PASSWORD": f"password of {owner}",
        },
        check=True,
    )
    seconds = perf_counter() - began
    shutil.rmtree(into)
    return seconds
