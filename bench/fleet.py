"""A fleet on virtual time: how long `innkeeper capacity` takes to simulate one, and how much memory that needs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from time import perf_counter

from bench.report import Area, Row

FLEET, QUICK_FLEET = 1_000_000, 50_000
PER_DAY = 4
COSTS = (
    "awake_mb=1003,returned_mb=290,paused_mb=1003,paged_mb=30,swapped_mb=970,zram_mb=399,"
    "wake_paused_s=0.02,wake_paged_s=0.6,wake_stopped_s=8.7,cold_cpu_s=11.2"
)
"""About an OpenClaw's; what they are makes little difference to the time."""


async def measure(*, quick: bool) -> Area:
    """A day of a large fleet, on hosts with enough of everything and with too little, and from a file."""
    tenants = QUICK_FLEET if quick else FLEET
    by_chance = ("--poisson", f"tenants={tenants},per_day={PER_DAY},hours=24,busy_s=20,spread=1")
    large, small = ("--cpus", str(max(8, tenants // 500))), ("--cpus", "4", "--memory-mb", "256000")
    short = ("--memory-mb", str(tenants * 100))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        trace = ("--simulate", str(await asyncio.to_thread(_trace, Path(folder) / "trace.csv", tenants)))
        for what, options in (
            ("enough of everything", (*by_chance, *large)),
            ("memory for a tenth, so that many make room", (*by_chance, *large, *short)),
            ("4 processors and 256 GB, far too little", (*by_chance, *small)),
            ("the same number of requests from a file", (*trace, *large)),
        ):
            seconds, peak_mb = await asyncio.to_thread(_run, folder, *options)
            rows += [
                Row(what=what, value=seconds, unit="s"),
                Row(what="… memory at most", value=peak_mb, unit="MB"),
            ]
    return Area(
        name="fleet",
        how=f"A day of {tenants:,} tenants with {PER_DAY} requests each, once; no control plane, all costs given.",
        rows=rows,
    )


def _run(data: str, *options: str) -> tuple[float, float]:
    """Seconds and peak memory of one simulation."""
    command = [sys.executable, "-m", "innkeeper", "capacity", "--json", "--cost", COSTS, *options]
    env = {"PATH": os.environ["PATH"], "INNKEEPER_DATA": data, "INNKEEPER_API": "127.0.0.1:1"}
    began = perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return perf_counter() - began, used.ru_maxrss / 1024


def _trace(path: Path, tenants: int) -> Path:
    chance, now = Random(5), 0.0
    with path.open("w") as file:
        for _ in range(tenants * PER_DAY):
            now += chance.expovariate(tenants * PER_DAY / 86400)
            file.write(f"{now:.3f},tenant-{chance.randrange(tenants)},20\n")
    return path
