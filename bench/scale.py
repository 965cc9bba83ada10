"""Ten thousand tenants: what looking at them costs, and what having them costs when nobody looks."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Sequence
from time import perf_counter

import httpx2

from bench.plane import Plane, full_house
from bench.processes import cpu_s, rss_mb
from bench.report import Area, Floor, Row, Target, row
from bench.samples import Samples, samples, timed_ms
from bench.seed import name_of
from innkeeper.api.pages import cursor_after

MANY = 10_000
PAGE = 50
CALM_AFTER_S = 15
"""After the start everything is looked at once; that isn't idleness."""
_PAGE_SQL = "SELECT * FROM tenants WHERE name > ? ORDER BY name LIMIT ?"


async def measure(*, quick: bool) -> Area:
    """One house of ten thousand, all running and ready, and nobody knocks."""
    times, idle_s = (40, 20) if quick else (200, 60)
    async with full_house(MANY) as house:
        rounds = await _rounds(house)
        started_ms = await house.start_ms()
        await asyncio.sleep(CALM_AFTER_S)
        idle = await _idle(house, idle_s)
        memory = rss_mb(house.pid)
        pages = await _pages(house, times)
        after = rss_mb(house.pid)
    return Area(
        name="scale",
        how=f"{MANY:,} tenants seeded into SQLite, each with a key; `innkeeper serve` in a process of its own over a "
        "memory runtime that is filled before the start with an instance for each, running and ready as the rows say. "
        "The runtime's stand-ins count into the memory; a real runtime's answers don't count into the tick.",
        rows=[
            *pages,
            *rounds,
            Row(what="memory, idle", value=memory, unit="MB", target=Target(at_most=150)),
            Row(what="memory, after the pages", value=after, unit="MB", target=Target(at_most=150)),
            Row(
                what=f"processor, idle for {idle_s} s",
                value=idle,
                unit="% of a core",
                target=Target(at_most=1.0),
                note="children that it waited for are counted in",
            ),
            Row(what="start to ready", value=started_ms / 1000, unit="s"),
        ],
    )


# --- pages ------------------------------------------------------------------------------------------------------------


async def _pages(house: Plane, times: int) -> list[Row]:
    after = {"first page": "", "page in the middle": name_of(MANY // 2), "last page": name_of(MANY - PAGE - 1)}
    async with house.api() as api:
        for key in after.values():
            await _page(api, key)
        return [
            row(
                f"list {PAGE} of {MANY:,} over HTTP, {what}",
                samples([await _page(api, key) for _ in range(times)]),
                "ms",
                floor=Floor(what="the same rows by bare SQLite", value=_bare(house, key, times).p50),
                target=Target(at_most=50),
            )
            for what, key in after.items()
        ]


async def _page(api: httpx2.AsyncClient, after: str) -> float:
    params: dict[str, str | int] = {"limit": PAGE} | ({"cursor": cursor_after(after)} if after else {})
    began = perf_counter()
    answer = await api.get("/v1/tenants", params=params)
    taken_ms = (perf_counter() - began) * 1000
    assert len(answer.json()["items"]) == PAGE, answer.text[:300]
    return taken_ms


def _bare(house: Plane, after: str, times: int) -> Samples:
    database = sqlite3.connect(f"file:{house.data / 'innkeeper.db'}?mode=ro", uri=True)
    try:
        return timed_ms(lambda: database.execute(_PAGE_SQL, (after, PAGE + 1)).fetchall(), times)
    finally:
        database.close()


# --- what always has to be done ---------------------------------------------------------------------------------------


async def _rounds(house: Plane) -> Sequence[Row]:
    """Timed in a process of their own over the same database, with nothing else going on in it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.full_house", str(MANY), "tick",
        env=house.env | {"INNKEEPER_EDGE": "false"}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, "the tick couldn't be timed"
    taken = json.loads(output)
    return [
        row("a full tick of the reconciler", samples(taken["tick_ms"]), "ms", target=Target(at_most=500)),
        row("… the gate waits for it at most", samples(taken["tick_stall_ms"]), "ms", note="every 30 s"),
        row(
            "a sweep: who has been idle for long enough",
            samples(taken["sweep_ms"]),
            "ms",
            target=Target(at_most=100),
            note="every 15 s; nobody is",
        ),
        row(
            "… the judgement alone, with all of them due",
            samples(taken["judged_ms"]),
            "ms",
            target=Target(at_most=100),
        ),
        row("the directory read anew", samples(taken["load_ms"]), "ms", note="every five minutes, for repair"),
        row("… the gate waits for that at most", samples(taken["load_stall_ms"]), "ms"),
    ]


async def _idle(house: Plane, seconds: int) -> float:
    began, used = perf_counter(), cpu_s(house.pid)
    await asyncio.sleep(seconds)
    return (cpu_s(house.pid) - used) / (perf_counter() - began) * 100
