"""Connections to the database: to read with, to write with, and to write so that not even a power cut undoes it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from innkeeper.core.errors import Invalid, StoreUnavailable

BUSY_TIMEOUT_S = 10
_CONNECT_TIMEOUT_S = 5
_WRITERS_TURN = 0x1_4B33
"""The advisory lock that PostgreSQL's writers hold; any number does, as long as it stays the same."""
_SYNCED = "innkeeper_synced"
_USUAL = "NORMAL"


@dataclass(frozen=True, kw_only=True)
class Engines:
    """The engines of one database, and how to name it in an error."""

    reads: AsyncEngine
    writes: AsyncEngine
    synced: AsyncEngine
    """The connections of `writes`, for commits that must be on the disk when they are done."""
    place: str

    async def wait_for_turn(self, connection: AsyncConnection) -> None:
        """Within a transaction of `writes`: wait until every earlier writer has ended."""
        # SQLite's BEGIN IMMEDIATE has done so already.
        if self.writes.dialect.name == "postgresql":
            await connection.exec_driver_sql(
                f"SELECT set_config('lock_timeout', '{BUSY_TIMEOUT_S}s', true), pg_advisory_xact_lock({_WRITERS_TURN})"
            )

    async def dispose(self) -> None:
        """Close every connection."""
        await self.writes.dispose()
        await self.reads.dispose()


def connect(url: str) -> Engines:
    """The engines for a URL; nothing is connected yet. Invalid when we don't know that kind of database."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Invalid("The database's URL can't be read.", hint="Like postgresql+psycopg://USER@HOST/NAME.") from error
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and parsed.database != ":memory:":
            return _sqlite(parsed.set(drivername="sqlite+aiosqlite"), Path(parsed.database))
        case "postgresql":
            return _postgresql(parsed.set(drivername="postgresql+psycopg"))
        case _:
            raise Invalid(
                f"{parsed.render_as_string()} isn't a database that the store knows.",
                hint="Use a SQLite file or PostgreSQL.",
            )


def _sqlite(url: URL, file: Path) -> Engines:
    _make_private(file)
    options: dict[str, Any] = {
        "hide_parameters": True,
        "connect_args": {"isolation_level": None, "timeout": BUSY_TIMEOUT_S},
    }
    # One writer at a time is all that SQLite has: waiting in our own queue is fairer than its polling.
    writes = create_async_engine(url, pool_size=1, max_overflow=0, **options)
    reads = create_async_engine(url, pool_size=4, max_overflow=0, **options)
    # The driver would begin too late, with the first write, and find that another has written meanwhile.
    _at_connect(writes, "journal_mode = WAL", f"synchronous = {_USUAL}", "foreign_keys = ON", "secure_delete = ON")
    _sync_as_told(writes)
    _at_begin(writes, "BEGIN IMMEDIATE")
    _at_connect(reads, "query_only = ON")
    _at_begin(reads, "BEGIN")
    return Engines(reads=reads, writes=writes, synced=_synced(writes), place=str(file))


def _postgresql(url: URL) -> Engines:
    engine = create_async_engine(
        url,
        pool_size=10,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
    )
    # A look sees one moment of everything, as on SQLite.
    reads = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    _commit_as_told(engine)
    place = url.render_as_string(hide_password=True)
    return Engines(reads=reads, writes=engine, synced=_synced(engine), place=place)


def _synced(writes: AsyncEngine) -> AsyncEngine:
    return writes.execution_options(**{_SYNCED: True})


def _make_private(file: Path) -> None:
    """Keep the file to its owner; SQLite gives its -wal and -shm the same mode."""
    try:
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        file.chmod(0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"The database {file} can't be made: {error.strerror}.",
            hint="Check the data directory, its owner and its disk.",
        ) from error


def _at_connect(engine: AsyncEngine, *pragmas: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _sync_as_told(engine: AsyncEngine) -> None:
    """In WAL mode NORMAL survives our own death but not a power cut: each commit that must, waits for the disk."""

    @event.listens_for(engine.sync_engine, "begin")
    def choose(connection: Connection) -> None:
        wanted = "FULL" if connection.get_execution_options().get(_SYNCED) else _USUAL
        if connection.info.get(_SYNCED, _USUAL) != wanted:  # the pragma lasts, and costs a round trip
            connection.exec_driver_sql(f"PRAGMA synchronous = {wanted}")
            connection.info[_SYNCED] = wanted


def _commit_as_told(engine: AsyncEngine) -> None:
    """PostgreSQL syncs each commit unless its operator has said otherwise."""

    @event.listens_for(engine.sync_engine, "begin")
    def choose(connection: Connection) -> None:
        if connection.get_execution_options().get(_SYNCED):
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO on")


def _at_begin(engine: AsyncEngine, statement: str) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)
