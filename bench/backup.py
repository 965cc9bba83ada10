"""Backups: how long a tenant stands still, what a night takes, and what bare restic takes for the same."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from bench.report import Area, Floor, Judged, Row, Target, row
from bench.samples import samples
from innkeeper.core.access import SYSTEM
from innkeeper.core.snapshots import Snapshot
from innkeeper.core.works import RESULT
from tests.backups.house import Bench, opened

FILES, SIZE_MB, CHANGED = 20_000, 1000, 0.01
QUICK_FILES, QUICK_SIZE_MB = 4_000, 200
ROUNDS, QUICK_ROUNDS = 20, 5
TENANTS, QUICK_TENANTS = 100, 20
BIG = "big"
MB = 1 << 20


async def measure(*, quick: bool) -> Area:
    """A large unit's nights beside bare restic's, then a hundred small ones."""
    files, size_mb = (QUICK_FILES, QUICK_SIZE_MB) if quick else (FILES, SIZE_MB)
    with tempfile.TemporaryDirectory(prefix="innkeeper-bench-", dir=os.environ.get("INNKEEPER_BENCH_DIR")) as folder:
        found = await _large(Path(folder), files, size_mb, QUICK_ROUNDS if quick else ROUNDS)
        found += await _many(Path(folder) / "many", QUICK_TENANTS if quick else TENANTS)
    return Area(
        name="backup",
        how=f"{files:,} files of {size_mb} MB together, random; each round changes {CHANGED:.0%} of them, while "
        "the tenant runs (in memory: freezing by Docker takes 27 ms more). restic, its sandbox and all files are real. "
        "Bare restic saves the same tree right after, into a repository of its own as `restic init` makes it.",
        rows=found,
    )


async def _large(folder: Path, files: int, size_mb: int, rounds: int) -> list[Row]:
    rng = random.Random(6)
    async with opened(folder / "data", entries_max=100_000) as bench:
        await bench.house.create(BIG)
        await bench.house.settle(BIG)
        home = bench.home(BIG)
        paths = _grow(home, files, size_mb, rng)
        with _bare(folder / "bare") as bare:
            theirs_first = bare.save(home)
            ours_first, snapshot = await _save(bench)
            ours, verified, frozen, ours_added, theirs, theirs_added = [], [], [], [], [], []
            for _ in range(rounds):
                await asyncio.to_thread(_change, rng.sample(paths, int(files * CHANGED)), rng)
                before = _size(folder / "data" / "first")
                seconds, snapshot = await _save(bench)
                taken = bench.taken_s.pop()
                ours.append(taken)
                verified.append(seconds)
                frozen.append(float(snapshot.frozen_ms))
                ours_added.append((_size(folder / "data" / "first") - before) / MB)
                before = bare.size()
                theirs.append(bare.save(home))
                theirs_added.append((bare.size() - before) / MB)
            first = bench.taken_s[0]
    rate = Floor(what="bare restic", value=size_mb / theirs_first)
    nightly = Floor(what="bare restic", value=samples(theirs).p50)
    return [
        row("frozen", samples(frozen), "ms", target=Target(judged=Judged.VALUE, at_most=1000.0)),
        Row(what="frozen, the longest", value=max(frozen), unit="ms", target=Target(at_most=1000.0)),
        Row(
            what="the first backup", value=size_mb / first, unit="MB/s", floor=rate,
            target=Target(judged=Judged.RATIO, at_least=0.9), note=f"verified after {ours_first:.1f} s in all",
        ),
        row("a night's backup, until the snapshot is there", samples(ours), "s", floor=nightly,
            target=Target(judged=Judged.RATIO, at_most=1 / 0.9)),
        row("… until it is verified and copied", samples(verified), "s", floor=nightly,
            note="the second target is on the same disk; restic alone verifies and copies nothing"),
        row("bytes written", samples(ours_added), "MB",
            floor=Floor(what="bare restic", value=samples(theirs_added).p50)),
    ]  # fmt: skip


async def _many(folder: Path, tenants: int) -> list[Row]:
    async with opened(folder) as bench:
        for number in range(tenants):
            name = f"t{number}"
            await bench.house.create(name)
            await bench.house.settle(name)
            _grow(bench.home(name), 50, 1, random.Random(number))
        taken: dict[str, float] = {}
        for night in ("the first night", "with a file changed", "unchanged"):
            if night == "with a file changed":
                for number in range(tenants):
                    (bench.home(f"t{number}") / "new").write_bytes(os.urandom(5000))
            began = perf_counter()
            operations = [await bench.keeping.backups.create(f"t{number}", actor=SYSTEM) for number in range(tenants)]
            for operation in operations:
                ended = await bench.house.control.wait(operation.id, timeout_s=600)
                assert ended.error is None, ended.error
            taken[night] = perf_counter() - began
    return [
        Row(what=f"{tenants} small tenants: {night}", value=seconds, unit="s", note="two at once")
        for night, seconds in taken.items()
    ]


async def _save(bench: Bench) -> tuple[float, Snapshot]:
    began = perf_counter()
    ended = await bench.house.control.wait((await bench.keeping.backups.create(BIG, actor=SYSTEM)).id, timeout_s=900)
    seconds = perf_counter() - began
    assert ended.error is None, ended.error
    assert ended.detail[RESULT]["way"] == "shadow"
    return seconds, await bench.newest(BIG)


def _grow(home: Path, files: int, size_mb: int, rng: random.Random) -> list[Path]:
    size, paths = size_mb * 1_000_000 // files, []
    for number in range(files):
        folder = home / f"d{number // 1000}" / f"d{number // 100 % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{number}").write_bytes(rng.randbytes(size))
        paths.append(folder / f"f{number}")
    return paths


def _change(paths: list[Path], rng: random.Random) -> None:
    for path in paths:
        path.write_bytes(rng.randbytes(path.stat().st_size))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class _Bare:
    """restic as anybody would run it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "RESTIC_REPOSITORY": str(folder / "repository"),
            "RESTIC_PASSWORD": "bench",
            "RESTIC_CACHE_DIR": str(folder / "cache"),
        }
        self._run("init")

    def save(self, tree: Path) -> float:
        """In seconds."""
        began = perf_counter()
        self._run("backup", str(tree))
        return perf_counter() - began

    def size(self) -> int:
        """In bytes."""
        return _size(self._folder / "repository")

    def _run(self, *arguments: str) -> None:
        subprocess.run(["restic", "--quiet", *arguments], env=self._environment, check=True)


@contextmanager
def _bare(folder: Path) -> Iterator[_Bare]:
    folder.mkdir(parents=True)
    yield _Bare(folder)
    shutil.rmtree(folder)
