"""Looks through SQLite files; run by itself, in a sandbox and with limits.

Reads a JSON list of paths from stdin, and writes what is wrong with which as JSON to stdout. It knows nothing of ours.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
import time

FOR_S = 60.0
"""For each file; what takes longer wasn't found broken."""
MEMORY_BYTES = 1 << 30
MAGIC = b"SQLite format 3\0"
LACKS = ("no such module", "no such function", "unknown function", "unknown tokenizer", "no such collation sequence")
"""What only the agent's own SQLite has, a newer one or an extension: that is no damage."""


def octet_length(value: object) -> int | None:
    """SQLite's own since 3.43; OpenClaw's schema calls it."""
    if value is None:
        return None
    return len(value) if isinstance(value, bytes) else len(str(value).encode())


def fault(path: str) -> str | None:
    """What is wrong with the file; None: nothing, or it is no database."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than this takes to run
        if file.read(len(MAGIC)) != MAGIC:
            return None
    ends = time.monotonic() + FOR_S
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        connection.set_progress_handler(lambda: int(time.monotonic() > ends), 100_000)
        if sqlite3.sqlite_version_info < (3, 43):
            connection.create_function("octet_length", 1, octet_length, deterministic=True)
        # Its schema is trusted: SQLite 3.40 finds JSON functions in a CHECK unsafe otherwise, and OpenClaw has those.
        # Whatever a schema calls, nothing is within its reach here.
        for pragma in ("cell_size_check = ON", "mmap_size = 0"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error) or any(lack in str(error) for lack in LACKS):
            return None
        return str(error)
    except sqlite3.Error as error:
        return str(error)
    finally:
        connection.close()
    return None if said == ["ok"] else "; ".join(said)[:300]


def main() -> None:
    """From stdin to stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    found = {path: fault(path) for path in json.load(sys.stdin)}
    json.dump({path: says for path, says in found.items() if says is not None}, sys.stdout)


if __name__ == "__main__":
    main()
