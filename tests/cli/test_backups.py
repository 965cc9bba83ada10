"""Backups by the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.bench import Bench
from tests.backups.house import at_work
from tests.cli.conftest import Run


@pytest.fixture
async def kept(inn: Run, bench: Bench) -> AsyncIterator[Run]:
    """With a tenant that has something to keep, and works carried out."""
    await bench.tenant("alice")
    home = bench.keeping.home("alice")
    home.mkdir(parents=True)
    (home / "note.md").write_text("I remember")
    async with at_work(bench.keeping):
        yield inn


async def test_create_list_show_verify_prune(kept: Run, bench: Bench) -> None:
    before = await kept("backup", "list")
    assert before.out.splitlines()[0].split() == [
        "TENANT",
        "AGE",
        "LOCAL",
        "REMOTE",
        "PROVEN",
        "NEXT",
        "(UTC)",
        "FAILING",
    ]
    assert "last good backup     never\n" in (await kept("tenant", "show", "alice")).out
    assert "never" in before.out
    created = await kept("backup", "create", "alice")
    assert created.code == 0, created.err
    assert "alice: snap_" in created.out
    assert "frozen for" in created.out
    assert "alice: " in created.err, "progress is shown"
    assert "unchanged since" in (await kept("backup", "create", "alice")).out
    [snapshot] = (await kept("backup", "list", "alice", "--json")).document
    assert snapshot["good"]
    assert snapshot["id"] in (await kept("backup", "list", "alice")).out
    assert "note" not in (await kept("backup", "show", "alice", snapshot["id"])).out
    assert (await kept("backup", "verify", "alice", "--whole")).out == f"alice: verified whole: {snapshot['id']}\n"
    assert (await kept("backup", "prune", "alice")).out == "alice: 0 snapshots dropped\n"
    assert (await kept("backup", "list")).out.count("never") == 4, "the database has none yet, and she is unproven"


async def test_damage_is_mended_and_what_was_lost_is_shown(kept: Run, bench: Bench) -> None:
    (bench.keeping.home("alice") / "memory.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    assert ", with broken databases: memory.db" in (await kept("backup", "create", "alice")).out
    assert "good, with broken databases: memory.db" in (await kept("backup", "list", "alice")).out
    [snapshot] = (await kept("backup", "list", "alice", "--json")).document
    assert list(snapshot["broken_databases"]) == ["memory.db"]
    for place in ("first", "second"):
        for key in (bench.keeping.data / place).glob("*/keys/*"):
            key.unlink()
    repaired = await kept("backup", "repair", "alice")
    assert repaired.code == 0, repaired.err
    assert "local begun anew, 0 files put aside; remote begun anew" in repaired.out
    assert f"0 snapshots are good, damaged: {snapshot['id']} at local and remote" in repaired.out
    listed = (await kept("backup", "list", "alice")).out
    assert "local (DAMAGED), remote (DAMAGED)" in listed
    assert sorted((await kept("backup", "show", "alice", snapshot["id"], "--json")).document["damage"]) == [
        "local",
        "remote",
    ]
    assert "snap_" in (await kept("backup", "create", "alice")).out
    assert "none lost" in (await kept("backup", "repair", "--control", "--target", "local")).out
    assert (await kept("backup", "repair", "alice", "--target", "nowhere")).code == 3


async def test_everybody_and_the_database(kept: Run, bench: Bench) -> None:
    made = await kept("backup", "create", "--all", "--json")
    assert sorted(each["tenant"] for each in made.document) == ["", "alice"]
    assert [each["tenant"] for each in (await kept("backup", "list", "--control", "--json")).document] == [None]
    assert "the database: " in (await kept("backup", "create", "--control")).out
    assert (await kept("backup", "prune", "--all")).code == 0


async def test_what_fails_is_told_by_the_exit_code(kept: Run, bench: Bench) -> None:
    (bench.keeping.data / "first").write_text("no folder")
    failed = await kept("backup", "create", "alice")
    assert failed.code == 1
    assert "error: " in failed.err
    many = await kept("backup", "create", "--all")
    assert many.code == 1
    assert "2 of 2 failed" in many.err
    assert "last good backup     never; fails: " in (await kept("tenant", "show", "alice")).out
    assert "2 times" in (await kept("backup", "list")).out


async def test_what_makes_no_sense(kept: Run) -> None:
    for arguments in (
        ["create"],
        ["create", "alice", "--all"],
        ["create", "--all", "--control"],
        ["list", "alice", "--control"],
        ["prune"],
        ["repair"],
        ["repair", "alice", "--control"],
        ["prune", "alice", "--all"],
    ):
        assert (await kept("backup", *arguments)).code == 2, arguments
    assert (await kept("backup", "list", "nobody")).code == 3
    assert (await kept("backup", "show", "alice", "snap_none")).code == 3


async def test_the_database_is_put_back_only_on_purpose_and_from_something(run: Run, bench: Bench) -> None:
    assert (await run("backup", "restore-control")).code == 2, "it asks"
    none = await run("backup", "restore-control", "--yes")
    assert none.code == 1
    assert "keyring" in none.err
