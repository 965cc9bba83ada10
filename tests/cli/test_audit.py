"""`innkeeper audit`: listed, checked with a control plane and without, and copied to a file."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest

from innkeeper.core.access import ADMIN
from innkeeper.core.audit import entry
from innkeeper.core.events import utc_now
from innkeeper.core.records import Records
from innkeeper.core.trail import Sought
from innkeeper.keyring import Keyring
from innkeeper.store.sql import SqlStore
from tests.api.bench import Bench
from tests.cli.conftest import Run
from tests.support.house import TurnedClock


async def test_the_trail_is_listed_by_what_is_sought(inn: Run, bench: Bench) -> None:
    for name in ("alice", "bob"):
        await bench.tenant(name)
    await inn("tenant", "update", "alice", "--cpus", "0.5")
    listed = (await inn("audit", "list", "--tenant", "alice", "--json")).document
    assert [line["action"] for line in listed] == ["tenant.create", "tenant.update"]
    newest = (await inn("audit", "list", "--tenant", "alice", "--reverse", "--last", "1", "--json")).document
    assert newest == listed[1:]
    assert (await inn("audit", "list", "--action", "tenant.", "--kind", "system", "--json")).document[0] == listed[0]
    shown = await inn("audit", "list", "--actor", "admin")
    assert "tenant.update" in shown.out
    assert "bob" not in shown.out
    assert (await inn("audit", "list", "--since", "once")).code == 2
    assert (await inn("audit", "list", "--until", "2020-01-01")).err == "The trail is empty.\n"


async def test_a_check_by_the_control_plane(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    well = await inn("audit", "verify")
    assert well.code == 0
    head = well.out.splitlines()[-1].removeprefix("Head: ")
    assert (await inn("audit", "verify", "--head", head, "--json")).document["ok"] is True
    assert (await inn("audit", "verify", "--head", "nonsense")).code == 2
    del bench.house.store._tables.trail[2]  # type: ignore[attr-defined]
    ill = await inn("audit", "verify")
    assert (ill.code, ill.out) == (1, "number 2: It isn't there any more. (missing)\n")
    as_json = await inn("audit", "verify", "--json")
    assert (as_json.code, as_json.document["faults"][0]["number"]) == (1, 2)


async def test_a_copy_is_whole_private_and_to_be_checked(
    inn: Run, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.tenant()
    file = tmp_path / "trail.jsonl"
    saved = await inn("audit", "export", "--output", str(file), "--json")
    assert saved.document == {"file": str(file), "bytes": file.stat().st_size}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (await inn("audit", "export", "--tenant", "nobody!", "--output", str(tmp_path / "no"))).code == 3
    assert not (tmp_path / "no").exists()
    assert (await inn("audit", "export", "--output", str(tmp_path / "absent" / "x"))).code == 1
    assert (await inn("audit", "verify", "--file", str(file))).code != 0  # by another key than ours


@pytest.fixture
async def closed(tmp_path: Path) -> Path:
    """The data directory of a control plane that doesn't run, with three lines in its trail."""
    data = tmp_path / "data"
    store = await SqlStore.open(f"sqlite+aiosqlite:///{data / 'innkeeper.db'}", links=Keyring.open(data))
    async with store.begin() as tx:
        for number in range(3):
            await tx.audit(entry(ADMIN, "tenant.update", at=utc_now(), tenant="alice", detail={"number": number}))
    await store.close()
    return data


async def test_a_check_while_no_control_plane_runs(closed: Path, run: Run) -> None:
    well = await run("audit", "verify", "--offline", "--json")
    assert (well.code, well.document["rows"]) == (0, 3)
    assert (await run("audit", "verify", "--offline", "--head", well.document["head"])).code == 0
    with sqlite3.connect(closed / "innkeeper.db") as database:
        database.execute("UPDATE audit SET detail = '{\"number\":7}' WHERE number = 2")
    ill = await run("audit", "verify", "--offline")
    assert (ill.code, ill.out) == (1, "number 2: It isn't what was written. (changed)\n")


async def test_a_copy_is_checked_with_the_keyring(closed: Path, run: Run, tmp_path: Path) -> None:
    keyring = Keyring.open(closed)
    store = SqlStore.as_it_is(f"sqlite+aiosqlite:///{closed / 'innkeeper.db'}", links=keyring)
    records = Records(store=store, links=keyring, clock=TurnedClock())
    copies = [copy async for page in records.copies(Sought()) for copy in page]
    await store.close()
    file = tmp_path / "trail.jsonl"
    file.write_text("".join(json.dumps(copy) + "\n" for copy in copies))
    well = await run("audit", "verify", "--file", str(file), "--json")
    assert (well.code, well.document["rows"], well.document["gaps"]) == (0, 3, 0)
    file.write_text(file.read_text().replace('"number": 1', '"number": 9', 1))
    assert (await run("audit", "verify", "--file", str(file))).code == 1
    file.write_bytes(b"\xff{\n\n")
    assert (await run("audit", "verify", "--file", str(file))).code == 1
    assert (await run("audit", "verify", "--file", str(tmp_path / "absent"))).code == 2
    assert (await run("audit", "verify", "--file", str(file), "--offline")).code == 2


async def test_a_database_of_another_version_is_told_of(closed: Path, run: Run) -> None:
    with sqlite3.connect(closed / "innkeeper.db") as database:
        database.execute("DROP TABLE audit_ends")
    said = await run("audit", "verify", "--offline")
    assert (said.code, "by this version" in said.err) == (1, True)


async def test_nothing_is_made_where_nothing_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(exist_ok=True)
    before = sorted(each.name for each in (tmp_path / "data").iterdir())
    assert (await run("audit", "verify", "--offline")).code != 0
    assert sorted(each.name for each in (tmp_path / "data").iterdir()) == before
