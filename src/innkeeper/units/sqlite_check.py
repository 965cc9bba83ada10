"""A program of its own, run in a sandbox: says which of the databases named on its standard input don't hold.

It imports nothing of ours, and is handed to Python as text, so that the sandbox needs nothing of ours in it. A database
is opened as its program would open it: what it left in a journal or a write-ahead log is taken in.
"""

import os
import sqlite3
import sys
import time

TOP = "/data"
EACH_S = 120.0
"""So long one database may take; larger ones count as whole: their agent will tell."""


def main() -> None:
    """Read names, each ended by a NUL; write those that don't hold, and why."""
    for name in sys.stdin.buffer.read().split(b"\0"):
        if name and (why := _trouble(os.fsencode(TOP) + b"/" + name)):
            sys.stdout.buffer.write(name + b"\n" + why.encode(errors="replace")[:200].replace(b"\n", b" ") + b"\0")


def _trouble(path: bytes) -> str:
    began = time.monotonic()
    stopped = []

    def late() -> int:
        if time.monotonic() - began < EACH_S:
            return 0
        stopped.append(True)
        return 1

    try:
        database = sqlite3.connect(os.fsdecode(path), timeout=1)
        try:
            database.execute("PRAGMA trusted_schema=OFF")
            database.set_progress_handler(late, 100_000)
            row = database.execute("PRAGMA integrity_check(1)").fetchone()
        finally:
            database.close()
    except sqlite3.Error as error:
        return "" if stopped or _needs_what_only_its_program_has(error) else str(error) or "it can't be read"
    said = str(row[0]) if row else "it says nothing"
    return "" if said == "ok" else said


def _needs_what_only_its_program_has(error: sqlite3.Error) -> bool:
    """A virtual table's module or a function, of an extension say: that is no damage."""
    return any(words in str(error) for words in ("no such module", "no such function", "unknown tokenizer"))


if __name__ == "__main__":
    main()
