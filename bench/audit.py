"""The audit trail: what a line costs, and how long it takes to check a million of them."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import create_async_engine

from bench.processes import rss_mb
from bench.report import Area, Floor, Row, row
from bench.samples import Samples, samples
from innkeeper.core.access import ADMIN
from innkeeper.core.audit import Entry, entry
from innkeeper.core.events import utc_now
from innkeeper.core.records import PAGE, Records
from innkeeper.core.trail import COLUMNS, Ends, Line
from innkeeper.keyring import Keyring
from innkeeper.store import rows as kept
from innkeeper.store import tables
from innkeeper.store.sql import SqlStore
from innkeeper.wiring import SystemClock

LINES, QUICK_LINES = 1_000_000, 50_000
CHANGES, QUICK_CHANGES = 2_000, 300
AT_ONCE = 100
FILLED_AT_ONCE = 5_000
POSTGRES = "INNKEEPER_BENCH_POSTGRES_URL"
"""An empty database for the bench; without it there are no rows about PostgreSQL."""
NOW = utc_now()


async def measure(*, quick: bool) -> Area:
    """On SQLite, and on the PostgreSQL that the environment names."""
    lines, changes = (QUICK_LINES, QUICK_CHANGES) if quick else (LINES, CHANGES)
    found, missing = [], []
    with tempfile.TemporaryDirectory() as folder:
        found += await _database("SQLite", f"sqlite+aiosqlite:///{folder}/innkeeper.db", Path(folder), lines, changes)
        if url := os.environ.get(POSTGRES):
            found += await _database("PostgreSQL", url, Path(folder), lines, changes)
        else:
            missing.append(f"PostgreSQL: {POSTGRES} names no empty database")
    return Area(
        name="audit",
        how=f"Lines of the size of a tenant's update, written by the store as the use cases do; then {lines:,} in all, "
        f"checked in this process in pages of {PAGE}, each a look of its own.",
        rows=found,
        missing=missing,
    )


async def _database(name: str, url: str, data: Path, lines: int, changes: int) -> list[Row]:
    async with _opened(url, data) as (store, keyring):
        one = await _per_second(store, changes, at_once=1)
        many = await _per_second(store, changes, at_once=AT_ONCE)
        floor = Floor(what="one statement, no line", value=await _without(store, changes))
        await _fill(url, keyring, 2 * changes, lines)
        records = Records(store=store, links=keyring, clock=SystemClock())
        before_mb, began, used = rss_mb(os.getpid()), perf_counter(), process_time()
        verdict = await records.verify()
        taken, used, more_mb = perf_counter() - began, process_time() - used, rss_mb(os.getpid()) - before_mb
        assert verdict.ok, verdict.faults
        assert verdict.rows == lines
        turns = await _turns(records)
    return [
        Row(what=f"{name}: changes a second, a line each", value=one, unit="/s", floor=floor),
        Row(what=f"{name}: lines a second, {AT_ONCE} in a transaction", value=many, unit="/s"),
        Row(what=f"{name}: {lines:,} lines checked", value=taken, unit="s"),
        Row(what="… processor time", value=used, unit="s", note="what the others on the machine don't stretch"),
        Row(what="… more memory afterwards", value=more_mb, unit="MB"),
        row("… others get their turn after", turns, "ms", note="in a second check, by a clock of its own"),
    ]


async def _turns(records: Records) -> Samples:
    """How late somebody else's turn comes while a check is under way."""
    checking, late = asyncio.ensure_future(records.verify()), []
    while not checking.done():
        began = perf_counter()
        await asyncio.sleep(0.001)
        late.append((perf_counter() - began) * 1000 - 1)
    return samples(late)


@asynccontextmanager
async def _opened(url: str, data: Path) -> AsyncIterator[tuple[SqlStore, Keyring]]:
    keyring = Keyring.open(data)
    store = await SqlStore.open(url, links=keyring)
    try:
        yield store, keyring
    finally:
        await store.close()


def _line(number: int) -> Entry:
    changed = {"limits": {"memory_mb": 1024, "cpus": 1.0, "pids": 512}}
    return entry(
        ADMIN,
        "tenant.update",
        at=NOW + timedelta(seconds=number),
        tenant=f"tenant-{number % 10_000}",
        tenant_id=f"t_{number % 10_000:026}",
        before=changed,
        after=changed,
    )


async def _per_second(store: SqlStore, changes: int, *, at_once: int) -> float:
    began = perf_counter()
    for number in range(0, changes, at_once):
        async with store.begin() as tx:
            for each in range(at_once):
                await tx.audit(_line(number + each))
    return changes / (perf_counter() - began)


async def _without(store: SqlStore, changes: int) -> float:
    """The same transactions with another statement instead of a line."""
    began = perf_counter()
    for _ in range(changes):
        async with store.begin() as tx:
            await tx.drop_key("nobody", "nothing")
    return changes / (perf_counter() - began)


async def _fill(url: str, keyring: Keyring, first: int, lines: int) -> None:
    """Write the others past the store, which would take minutes."""
    engine = create_async_engine(url)
    table = tables.audit_ends
    columns = [column for column in table.c if column.name != "id"]
    async with engine.begin() as connection:
        ends = Ends(**(await connection.execute(select(*columns))).one()._mapping)
        link = ends.last_link
        for start in range(first, lines, FILLED_AT_ONCE):
            some = []
            for number in range(start + 1, min(start + FILLED_AT_ONCE, lines) + 1):
                told = kept.entry_values(_line(number))
                texts = tuple(None if told[name] is None else str(told[name]) for name in COLUMNS)
                link = Line(number, texts, None).link_after(link, keyring)
                some.append({**told, "number": number, "link": link})
            await connection.execute(insert(tables.audit), some)
        await connection.execute(update(table).values(**vars(ends.moved(keyring, last=lines, last_link=link))))
    await engine.dispose()
