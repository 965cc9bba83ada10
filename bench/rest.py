"""At rest: what a small installation with a few real tenants costs, and how quickly the commands are there."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from bench.plane import Plane, plane
from bench.processes import cpu_s, open_files, rss_mb
from bench.report import Area, Floor, Row, Target, row
from bench.samples import samples, timed_ms
from tests.support.echo_agent import echo_spec

TENANTS = 3


async def measure(*, quick: bool) -> Area:
    """Three echoing containers behind a control plane that was just restarted, as after any update."""
    restarts, calls, idle_s = (2, 5, 20) if quick else (5, 20, 60)
    async with plane() as house:
        first_ms = await house.start_ms()
        for number in range(TENANTS):
            await house.create(f"t{number}", **echo_spec())
        again_ms = samples([await _restart_ms(house) for _ in range(restarts)])
        idle = await _idle(house, idle_s)
        rows = [
            Row(what="memory of the control plane", value=rss_mb(house.pid), unit="MB", target=Target(at_most=120)),
            Row(what="memory of Caddy", value=rss_mb(house.caddy_pid), unit="MB"),
            Row(what="open files of the control plane", value=open_files(house.pid), unit="descriptors"),
            Row(what=f"processor, idle for {idle_s} s", value=idle, unit="% of a core", target=Target(at_most=1.0)),
            Row(
                what="start to ready, the first time", value=first_ms, unit="ms", note="tables, keys and Caddy are made"
            ),
            row("start to ready, again", again_ms, "ms"),
        ]
    return Area(
        name="rest",
        how=f"{TENANTS} tenants in real containers, nobody knocks; after a restart of the control plane.",
        rows=[*rows, _help(calls)],
    )


async def _restart_ms(house: Plane) -> float:
    await house.stop()
    return await house.start_ms()


async def _idle(house: Plane, seconds: int) -> float:
    await asyncio.sleep(5)
    used = cpu_s(house.pid)
    await asyncio.sleep(seconds)
    return (cpu_s(house.pid) - used) / seconds * 100


def _help(calls: int) -> Row:
    bare = timed_ms(lambda: _run("-c", "pass"), calls)
    asked = timed_ms(lambda: _run("-m", "innkeeper", "--help"), calls)
    return row("innkeeper --help", asked, "ms", floor=Floor(what="python -c pass", value=bare.p50))


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
