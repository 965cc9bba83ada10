"""Drivers' errors in the core's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from innkeeper.core.errors import Conflict, DiskFull, Problem, StoreUnavailable

_POSTGRES_DISK_FULL = "53100"
_SQLITE_PRIMARY_CODE = 0xFF
_SQLITE_DOWN = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise what a driver says about the database at `place` as a Problem; a mistake in our SQL stays what it is."""
    try:
        yield
    except exc.TimeoutError as error:
        raise StoreUnavailable(f"The database {place} is too busy: no connection came free.") from error
    except exc.DBAPIError as error:
        problem = _problem(error, place)
        if problem is None:
            raise
        raise problem from error


def _problem(error: exc.DBAPIError, place: str) -> Problem | None:
    cause = error.orig
    if isinstance(error, exc.IntegrityError):
        return Conflict("Somebody else made a change that excludes this one.", hint="Look again, then repeat it.")
    if isinstance(cause, sqlite3.Error):
        return _from_sqlite(cause, place)
    if getattr(cause, "sqlstate", None) == _POSTGRES_DISK_FULL:
        return DiskFull(f"The disk under the database {place} is full.")
    if isinstance(error, exc.OperationalError | exc.InterfaceError) or error.connection_invalidated:
        return _down(place, cause)
    return None


def _from_sqlite(cause: sqlite3.Error, place: str) -> Problem | None:
    code = getattr(cause, "sqlite_errorcode", 0) & _SQLITE_PRIMARY_CODE
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"The disk under {place} is full.")
    return _down(place, cause) if code in _SQLITE_DOWN else None


def _down(place: str, cause: BaseException | None) -> StoreUnavailable:
    said = " ".join(str(cause).split())
    return StoreUnavailable(
        f"The database {place} doesn't answer: {said}",
        hint="Check `INNKEEPER_DATABASE_URL`, that the database runs, and its disk; work goes on when it answers.",
    )
