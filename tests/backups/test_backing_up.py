"""Backups from end to end: real folders, real restic, a runtime in memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.access import SYSTEM
from innkeeper.core.instance import State
from innkeeper.core.manifest import read_manifest
from innkeeper.core.ports.snapshots import Repository
from innkeeper.core.snapshots import Origin
from innkeeper.core.taking import LIVE, STILL
from innkeeper.runtimes.memory_faults import Call
from tests.backups.house import ENTRIES_MAX, Bench, opened
from tests.restic.deposits import content


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        yield bench


async def test_a_snapshot_holds_all_that_a_tenant_is(bench: Bench) -> None:
    tenant = await bench.tenant()
    await bench.house.vault.set("alice", "TOKEN", "hunter2", actor=SYSTEM)
    (bench.home() / "cache").mkdir()
    (bench.home() / "cache" / "assets").write_bytes(b"x" * 1000)
    result = await bench.result()
    assert (result["way"], result["targets"], result["consented"]) == ("shadow", ["local", "remote"], True)
    snapshot = await bench.newest()
    assert snapshot.is_good
    assert (snapshot.origin, snapshot.agent, snapshot.tenant) == (Origin.ASKED, "plain", "alice")
    for target in ("local", "remote"):
        restored = await bench.restored(snapshot, target)
        assert content(restored / "persistence") == {b"note.md": b"I remember", b"sub": None, b"sub/a": b"a"}
        assert (restored / "unit" / "compose.yaml").read_text() == "services: {}\n"
        manifest = read_manifest((restored / "innkeeper" / "manifest.json").read_bytes())
        assert (manifest.tenant_id, manifest.spec, manifest.snapshot) == (tenant.id, tenant.spec, snapshot.id)
        assert [each.version.name for each in manifest.secrets] == ["TOKEN"]
        assert b"hunter2" not in manifest.dumped()
    assert (await bench.house.runtime.get("alice")).state is State.RUNNING
    assert await bench.keeping.stills.staged() == []


async def test_what_changes_is_in_the_next_one_and_what_doesnt_isnt_read(bench: Bench) -> None:
    await bench.tenant(files={f"d{n % 7}/f{n}": b"%d" % n * 5000 for n in range(50)})
    await bench.result()
    (bench.home() / "d1" / "f1").write_bytes(b"changed")
    (bench.home() / "d2" / "f2").unlink()
    (bench.home() / "d3" / "new").write_bytes(b"new")
    result = await bench.result()
    assert result["way"] == "shadow"
    assert result["bytes_added"] < 40_000
    restored = await bench.restored(await bench.newest())
    assert content(restored / "persistence") == content(bench.home())
    (bench.home() / "d1" / "f1").write_bytes(b"changed again, after it was copied once")
    await bench.result()
    restored = await bench.restored(await bench.newest())
    assert content(restored / "persistence") == content(bench.home())


async def test_what_was_added_is_told_whichever_pass_has_added_it(bench: Bench) -> None:
    await bench.tenant(files={"large": os.urandom(3 << 20)})
    assert (await bench.result())["bytes_added"] > 3 << 20


async def test_where_nothing_changed_nothing_is_written(bench: Bench) -> None:
    tenant = await bench.tenant()
    first = await bench.result()
    bench.house.clock.turn(3600)
    again = await bench.result()
    assert (again["way"], again["snapshot"], again["bytes_added"]) == ("unchanged", first["snapshot"], 0)
    snapshot = await bench.newest()
    assert snapshot.confirmed_at == bench.house.clock.now()
    assert (await bench.state()).good == dict.fromkeys(("local", "remote"), bench.house.clock.now())
    assert len(await bench.rows(tenant.id)) == 1
    assert bench.house.runtime.calls[Call.PAUSE] == 1, "the second time nobody was frozen"


async def test_one_that_stays_the_newest_is_looked_through_again_at_every_target(bench: Bench) -> None:
    tenant = await bench.tenant()
    await bench.result()
    checked: list[str] = []
    check = bench.snapshots.check

    async def watched(
        repository: Repository, *, share: tuple[int, int] | None = None, despite: Collection[str] = ()
    ) -> None:
        checked.append(repository.target)
        await check(repository, share=share, despite=despite)

    bench.snapshots.check = watched  # type: ignore[method-assign]
    bench.house.clock.turn(3600)
    await bench.result()
    assert checked == [], "lately"
    bench.house.clock.turn(8 * 24 * 3600)
    await bench.result()
    assert checked == ["local", "remote"]
    bench.house.clock.turn(8 * 24 * 3600)
    snapshot, there = await bench.newest(), Repository(target="remote", owner=tenant.id)
    await bench.snapshots.forget(there, [snapshot.copies["remote"]])
    await bench.result()
    [listed] = await bench.snapshots.listing(there)
    assert (await bench.newest()).copies["remote"] == listed.id
    assert [each.code for each in bench.alerts] == ["backup.lost"]


async def test_a_new_secret_or_spec_is_a_reason_for_a_new_snapshot(bench: Bench) -> None:
    await bench.tenant()
    first = await bench.result()
    await bench.house.vault.set("alice", "TOKEN", "hunter2", actor=SYSTEM)
    second = await bench.result()
    (bench.home().parent / ".env").write_text("PORT=1\n")
    third = await bench.result()
    assert len({first["snapshot"], second["snapshot"], third["snapshot"]}) == 3


@pytest.mark.parametrize("tier", ["pause", "stop"])
async def test_sleepers_arent_woken(bench: Bench, tier: str) -> None:
    await bench.tenant()
    await bench.house.control.sleep("alice", tier, actor=SYSTEM)
    await bench.house.settle()
    before, calls = await bench.house.runtime.get("alice"), dict(bench.house.runtime.calls)
    result = await bench.result()
    assert (result["way"], result["consented"], result["frozen_ms"]) == ("shadow", None, 0)
    assert await bench.house.runtime.get("alice") == before
    for call in (Call.UNPAUSE, Call.START):
        assert bench.house.runtime.calls[call] == calls.get(call, 0)
    assert (await bench.result())["way"] == "unchanged"


async def test_only_the_last_snapshot_of_the_living_folder_is_kept(bench: Bench) -> None:
    tenant = await bench.tenant()
    await bench.result()
    repository = Repository(target="local", owner=tenant.id)
    for number in range(2):
        await bench.keeping.stills.drop(tenant.id)  # so that the last snapshot can't be the parent
        (bench.home() / "new").write_bytes(b"%d" % number)
        await bench.result()
    listed = await bench.snapshots.listing(repository)
    assert [LIVE in each.tags for each in listed].count(True) == 1
    assert [STILL in each.tags for each in listed].count(True) == 3


async def test_too_many_files_are_saved_while_everything_stands_still(bench: Bench) -> None:
    await bench.tenant(files={f"f{n}": b"" for n in range(ENTRIES_MAX + 1)})
    result = await bench.result()
    assert (result["way"], result["files"]) == ("plain", ENTRIES_MAX + 3)
    assert (await bench.house.runtime.get("alice")).state is State.RUNNING
    assert (await bench.newest()).is_good


async def test_databases_come_out_whole_with_what_stands_only_in_their_log(bench: Bench) -> None:
    await bench.tenant()
    connection = sqlite3.connect(bench.home() / "memory.sqlite")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    assert (await bench.result())["databases"] == 1
    connection.execute("INSERT INTO t VALUES ('remembered')")
    connection.commit()
    assert (await bench.result())["databases"] == 1, "its log was written"
    connection.close()
    restored = await bench.restored(await bench.newest())
    again = sqlite3.connect(restored / "persistence" / "memory.sqlite")
    assert again.execute("SELECT a FROM t").fetchall() == [("remembered",)]
    again.close()


BROKEN = b"SQLite format 3\0" + b"\xff" * 5000


async def test_a_database_that_its_tenant_has_broken_is_told_once_and_the_snapshot_is_good(bench: Bench) -> None:
    tenant = await bench.tenant(files={"sub/memory.db": BROKEN, "note.md": b"I remember"})
    assert (await bench.result())["broken_databases"] == ["sub/memory.db"]
    assert [alert.code for alert in bench.alerts] == ["backup.databases"]
    bench.house.clock.turn(3600)
    (bench.home() / "note.md").write_bytes(b"I remember more")
    assert (await bench.result())["broken_databases"] == ["sub/memory.db"], "though nobody has looked at it again"
    newest = await bench.newest()
    assert newest.is_good
    assert (await bench.state()).good["local"] == newest.taken_at == bench.house.clock.now()
    assert content(await bench.restored(newest) / "persistence")[b"sub/memory.db"] == BROKEN
    assert len(bench.alerts) == 1
    (bench.home() / "other.sqlite").write_bytes(BROKEN)
    (bench.home() / "sub" / "memory.db").unlink()
    assert (await bench.result())["broken_databases"] == ["other.sqlite"]
    assert [alert.code for alert in bench.alerts] == ["backup.databases"] * 2
    (bench.home() / "other.sqlite").unlink()
    assert (await bench.result())["broken_databases"] == []
    assert len(bench.alerts) == 2
    assert all(each.is_good for each in await bench.rows(tenant.id))


async def test_a_database_that_is_broken_in_the_snapshot_alone_is_damage(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await bench.tenant()
    await bench.result()
    (bench.home() / "memory.db").write_bytes(BROKEN)
    looked = bench.keeping.stills.unsound_living

    async def mended_meanwhile(*which: Any) -> Mapping[str, str]:
        (bench.home() / "memory.db").unlink()
        sqlite3.connect(bench.home() / "memory.db").executescript("CREATE TABLE t (a)")
        found = await looked(*which)
        (bench.home() / "memory.db").write_bytes(BROKEN)
        return found

    monkeypatch.setattr(bench.keeping.stills, "unsound_living", mended_meanwhile)
    ended = await bench.backup()
    assert ended.error is not None
    assert ended.error.code == "snapshot_damaged"
    bad, good = await bench.rows(tenant.id)
    assert (bad.is_good, good.is_good) == (False, True)
    assert "memory.db" in (bad.damaged or "")
    assert [alert.code for alert in bench.alerts] == ["backup.damaged"]
    assert (await bench.state()).failures == 1
    (bench.home() / "memory.db").unlink()
    assert (await bench.backup()).error is None
    assert (await bench.state()).failures == 0


async def test_the_database_of_the_control_plane_is_backed_up_too(bench: Bench) -> None:
    ended = await bench.over(await bench.keeping.backups.create_of_control(actor=SYSTEM))
    assert ended.error is None
    [snapshot] = await bench.rows("control")
    assert snapshot.is_good
    restored = await bench.restored(snapshot, "remote")
    assert (restored / "control" / "innkeeper.db").read_bytes() == b"rows"


async def test_two_at_once_are_one(bench: Bench) -> None:
    await bench.tenant()
    one, other = [await bench.keeping.backups.create("alice", actor=SYSTEM) for _ in range(2)]
    assert one.id == other.id
    assert (await bench.over(one)).error is None
