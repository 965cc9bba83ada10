"""What SQLite files are said to be damaged, and which aren't."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from innkeeper.units.databases import unsound


def made(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def test_a_damaged_one_is_told_from_whole_ones(tmp_path: Path) -> None:
    made(tmp_path / "whole.db", "CREATE TABLE t (x)", "INSERT INTO t VALUES (zeroblob(20000))")
    content = bytearray((tmp_path / "whole.db").read_bytes())
    content[5000:] = b"\xff" * (len(content) - 5000)
    (tmp_path / "damaged.db").write_bytes(content)
    (tmp_path / "none.db").write_bytes(b"no database")
    assert list(unsound(tmp_path, ["whole.db", "damaged.db", "none.db"])) == ["damaged.db"]


def test_a_damaged_one_whose_name_isnt_utf8_can_be_told_of(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.db")
    (tmp_path / name).write_bytes(b"SQLite format 3\0" + bytes(100))
    [told] = unsound(tmp_path, [name])
    assert told.encode() == "\ufffd.db".encode()


def test_a_schema_that_calls_functions_is_none_the_worse(tmp_path: Path) -> None:
    check = "CREATE TABLE t (x TEXT CHECK (json_valid(x)))"
    made(tmp_path / "openclaw.db", check, "INSERT INTO t VALUES ('{}')")
    assert unsound(tmp_path, ["openclaw.db"]) == {}
    database = sqlite3.connect(tmp_path / "openclaw.db")
    database.create_function("octet_length", 1, len, deterministic=True)
    database.execute("CREATE TABLE e (x TEXT, CHECK (octet_length(x) < 9))")
    database.execute("CREATE INDEX i ON e (octet_length(x))")
    database.execute("INSERT INTO e VALUES ('twelve')")
    database.commit()
    database.close()
    assert unsound(tmp_path, ["openclaw.db"]) == {}, "one that only a newer SQLite has"


def test_what_takes_an_extension_is_left_to_its_agent(tmp_path: Path) -> None:
    made(tmp_path / "own.db", "CREATE TABLE t (x)")
    database = sqlite3.connect(tmp_path / "own.db")
    database.execute("PRAGMA writable_schema = ON")
    sql = "CREATE VIRTUAL TABLE v USING vec0(e float[3])"
    database.execute("INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, ?)", (sql,))
    database.commit()
    database.close()
    assert unsound(tmp_path, ["own.db"]) == {}
