"""The control plane's own database: copied while it is in use, put back where nothing is left but the keyring."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.core.access import ADMIN
from innkeeper.core.errors import Conflict, Problem
from innkeeper.core.snapshots import Snapshot
from innkeeper.keyring import Keyring
from innkeeper.safe_deposit import snapshot_store
from innkeeper.safekeeping import put_control_back
from innkeeper.settings import Settings
from innkeeper.store.copying import ABOUT, SQLITE, DatabaseCopies
from innkeeper.store.sql import SqlStore
from tests.backups.house import at_work, make
from tests.restic.test_mending import flipped
from tests.store.databases import DATABASES, database
from tests.store.examples import tenant
from tests.support.house import House
from tests.support.links import LINKS
from tests.support.secrets import NamedSecrets


@pytest.fixture(params=DATABASES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with database(request.param, tmp_path) as url:
        yield url


async def test_a_copy_is_of_one_moment_though_it_is_written_meanwhile(url: str, tmp_path: Path) -> None:
    store = await SqlStore.open(url, links=LINKS)
    async with store.begin() as tx:
        await tx.add_tenant(tenant("a", 0))
    into = tmp_path / "copy"
    into.mkdir()

    async def busy() -> None:
        for slot in range(1, 60):
            async with store.begin() as tx:
                await tx.add_tenant(tenant(f"t{slot}", slot))

    writing = asyncio.create_task(busy())
    await DatabaseCopies(url).copy(into)
    await writing
    await store.close()
    about = json.loads((into / ABOUT).read_text())
    assert about["format"] == 1
    if url.startswith("sqlite"):
        copy = sqlite3.connect(into / SQLITE)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        names = {name for (name,) in copy.execute("SELECT name FROM tenants")}
        assert "a" in names
        copy.close()


async def test_another_kind_of_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / ABOUT).write_text(json.dumps({"format": 1, "kind": "postgresql", "tables": "0011"}))
    with pytest.raises(Conflict, match="postgresql"):
        await DatabaseCopies(f"sqlite+aiosqlite:///{tmp_path}/x.db").put_back(tmp_path)


async def test_a_database_that_isnt_there_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(Problem):
        await DatabaseCopies(f"sqlite+aiosqlite:///{tmp_path}/none/x.db").copy(tmp_path)
    assert not (tmp_path / "none").exists()


@pytest.fixture
async def backed_up(tmp_path: Path) -> tuple[Settings, Snapshot]:
    """A data directory whose database has a tenant and a snapshot at both targets; then it is all gone but the keys."""
    settings = Settings(data=tmp_path / "data", backup_remote=str(tmp_path / "far"))
    settings.data.mkdir()
    keyring = Keyring.open(settings.data)
    store = await SqlStore.open(settings.store_url, links=keyring)
    async with store.begin() as tx:
        await tx.add_tenant(tenant("kept", 0))
    bench = make(settings.data, House(), snapshots=snapshot_store(settings, keyring, NamedSecrets()))
    bench.keeping.backing_up._control = DatabaseCopies(settings.store_url)
    async with at_work(bench):
        ended = await bench.over(await bench.keeping.backups.create_of_control(actor=ADMIN))
        assert ended.error is None
        [snapshot] = await bench.rows("control")
    await store.close()
    bench.keeping.stills.close()
    return settings, snapshot


@pytest.mark.parametrize("target", [None, "local", "remote", "whichever is whole"])
async def test_it_comes_back_on_a_host_that_has_the_keyring(
    backed_up: tuple[Settings, Snapshot], target: str | None
) -> None:
    settings, snapshot = backed_up
    for path in settings.data.glob("innkeeper.db*"):
        path.unlink()
    if target == "whichever is whole":
        target, at = None, "remote"
        for path in (settings.data / "backups" / "control").glob("snapshots/*"):
            flipped(path)
    else:
        at = target or "local"
    told = await asyncio.to_thread(lambda: put_control_back(settings, snapshot=None, target=target))
    assert (told["snapshot"], told["target"]) == (snapshot.id, at)
    store = await SqlStore.open(settings.store_url, links=Keyring.open(settings.data))
    async with store.look() as tx:
        assert [each.name for each in await tx.tenants()] == ["kept"]
    await store.close()
    assert sorted(path.name for path in settings.data.iterdir() if path.name.startswith("restore-")) == []


async def test_what_was_there_is_kept_aside(backed_up: tuple[Settings, Snapshot]) -> None:
    settings, snapshot = backed_up
    store = await SqlStore.open(settings.store_url, links=Keyring.open(settings.data))
    async with store.begin() as tx:
        await tx.add_tenant(tenant("later", 1))
    await store.close()
    await asyncio.to_thread(lambda: put_control_back(settings, snapshot=snapshot.id, target=None))
    store = await SqlStore.open(settings.store_url, links=Keyring.open(settings.data))
    async with store.look() as tx:
        assert [each.name for each in await tx.tenants()] == ["kept"]
    await store.close()
    aside = sqlite3.connect(settings.data / "innkeeper.db.before-restore")
    assert ("later",) in aside.execute("SELECT name FROM tenants").fetchall()
    aside.close()


async def test_one_that_isnt_there_is_told(backed_up: tuple[Settings, Snapshot]) -> None:
    settings, _ = backed_up
    with pytest.raises(Problem, match="no such snapshot"):
        await asyncio.to_thread(lambda: put_control_back(settings, snapshot="snap_none", target=None))
