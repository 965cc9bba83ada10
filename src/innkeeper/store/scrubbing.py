"""Nothing of what was dropped stays in SQLite's own files: PostgreSQL's are its operator's to look after.

Pages are overwritten as they become free (`secure_delete`). Two things are left to do: the log that changes go to first
holds what pages were before, until it is emptied; and databases of before that setting have old content in free pages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog

from innkeeper.store.engines import BUSY_TIMEOUT_S, Engines

log = structlog.get_logger("innkeeper.store")

_CLEAN = 1
"""The file's `user_version` from when free pages have nothing in them."""


async def emptied_log(engines: Engines) -> bool:
    """Have all that is written in the database itself, and its log empty; False while somebody still reads what was
    there before, whom nobody waits for: every writer would."""
    async with _driver(engines) as connection:
        if connection is None:
            return True
        await connection.execute("PRAGMA busy_timeout = 0")
        try:
            async with connection.execute("PRAGMA wal_checkpoint(TRUNCATE)") as cursor:
                busy, *_ = await cursor.fetchone()
        finally:
            await connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    return not busy


async def clean_once(engines: Engines) -> None:
    """Write a database anew that an earlier version has left content in; where that can't be done now, it is done at
    another start."""
    async with _driver(engines) as connection:
        if connection is None:
            return
        async with connection.execute("PRAGMA user_version") as cursor:
            if (await cursor.fetchone())[0] >= _CLEAN:
                return
        try:
            await connection.execute("VACUUM")
            await connection.execute(f"PRAGMA user_version = {_CLEAN}")
        except sqlite3.OperationalError as error:
            log.warning("free pages are not clean yet", place=engines.place, why=str(error))


@asynccontextmanager
async def _driver(engines: Engines) -> AsyncIterator[Any | None]:
    """SQLite's own connection that writes, outside of any transaction; None: it is another database."""
    if engines.writes.dialect.name != "sqlite":
        yield None
        return
    async with engines.writes.connect() as connection:
        yield (await connection.get_raw_connection()).driver_connection
