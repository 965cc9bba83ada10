"""Entries by path, in memory as long as they are few, in a file of SQLite's own when they are many.

A million entries would take some 300 MB of the control plane's memory. SQLite keeps a database without a name in its
cache until that is full, then in a file in `/var/tmp` (or `SQLITE_TMPDIR`) that has no name either and goes with it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass

from innkeeper.units.tar_headers import Kind

CACHE_KIB = 8192
"""Enough for some 50,000 of them."""
_TABLE = (
    "CREATE TABLE entries (number INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, kind TEXT, size INT, mode INT, "
    "mtime REAL, target BLOB)"
)
_ADD = "INSERT OR IGNORE INTO entries (path, kind, size, mode, mtime, target) VALUES (?, ?, ?, ?, ?, ?)"
_CHANGE = "UPDATE entries SET kind = ?2, size = ?3, mode = ?4, mtime = ?5, target = ?6 WHERE path = ?1"
_ALL = "SELECT path, kind, size, mode, mtime, target FROM entries"
_SIZE_MAX = (1 << 63) - 1
_Row = tuple[bytes, str, int, int, float, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What lies at one place of a source, its path checked: relative, without `.` or `..`."""

    path: str
    kind: Kind
    size: int = 0
    mode: int = 0o600
    mtime: float = 0.0
    target: str = ""


class Entries(Mapping[str, Entry]):
    """Entries in the order in which their paths came first; one thread at a time."""

    def __init__(self) -> None:
        # Nothing of it outlives the process, so nothing needs to be on the disk at any time.
        self._base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for each in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{CACHE_KIB}"):
            self._base.execute(f"PRAGMA {each}")
        self._base.execute(_TABLE)
        self._base.execute("BEGIN")
        self._count = 0

    def __del__(self) -> None:
        """Its file goes with it."""
        self._base.close()

    def add(self, entry: Entry) -> bool:
        """Keep it, if there is none of that path yet."""
        is_new = self._base.execute(_ADD, _row(entry)).rowcount > 0
        self._count += is_new
        return is_new

    def put(self, entry: Entry) -> None:
        """Keep it; one of the same path is replaced where it stands."""
        if not self.add(entry):
            self._base.execute(_CHANGE, _row(entry))

    def __getitem__(self, path: str) -> Entry:
        """The entry at that path."""
        found = self._base.execute(f"{_ALL} WHERE path = ?", (os.fsencode(path),)).fetchone()
        if found is None:
            raise KeyError(path)
        return _entry(found)

    def __iter__(self) -> Iterator[str]:
        """Path by path."""
        for (path,) in self._base.execute("SELECT path FROM entries ORDER BY number"):
            yield os.fsdecode(path)

    def items(self) -> ItemsView[str, Entry]:
        """Path and entry, one row after the other."""
        return _Items(self)

    def rows(self) -> Iterator[Entry]:
        """Entry by entry."""
        return map(_entry, self._base.execute(f"{_ALL} ORDER BY number"))

    def __len__(self) -> int:
        """How many there are."""
        return self._count


class _Items(ItemsView[str, Entry]):
    def __init__(self, entries: Entries) -> None:
        super().__init__(entries)
        self._entries = entries

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return ((entry.path, entry) for entry in self._entries.rows())


def _row(entry: Entry) -> _Row:
    path, target = os.fsencode(entry.path), os.fsencode(entry.target)
    return path, entry.kind.value, min(entry.size, _SIZE_MAX), entry.mode, entry.mtime, target


def _entry(row: _Row) -> Entry:
    path, kind, size, mode, mtime, target = row
    return Entry(path=os.fsdecode(path), kind=Kind(kind), size=size, mode=mode, mtime=mtime, target=os.fsdecode(target))
