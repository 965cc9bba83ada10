"""A database that fails: what is said about it, and that work goes on afterwards."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

from innkeeper.core.errors import DiskFull, StoreUnavailable
from innkeeper.store import engines
from innkeeper.store.sql import SqlStore
from tests.store.databases import postgres_url, sqlite_url
from tests.store.examples import entry, tenant
from tests.support.links import LINKS


def modes_in(folder: Path) -> dict[str, int]:
    return {found.name: stat.S_IMODE(found.stat().st_mode) for found in folder.iterdir()}


async def test_the_file_and_its_companions_are_private(tmp_path: Path) -> None:
    file = tmp_path / "innkeeper.db"
    file.touch(mode=0o644)
    store = await SqlStore.open(sqlite_url(tmp_path), links=LINKS)
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    assert modes_in(tmp_path) == dict.fromkeys(["innkeeper.db", "innkeeper.db-wal", "innkeeper.db-shm"], 0o600)
    await store.close()


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        await SqlStore.open(sqlite_url(tmp_path / "absent"), links=LINKS)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "innkeeper.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        await SqlStore.open(sqlite_url(tmp_path), links=LINKS)


async def test_a_file_that_another_program_keeps_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0)
    store = await SqlStore.open(sqlite_url(tmp_path), links=LINKS)
    other = sqlite3.connect(tmp_path / "innkeeper.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.claim("a", holder="one", for_s=1)
    async with store.look() as read:
        assert await read.tenants() == []
    other.close()
    assert await store.claim("a", holder="one", for_s=1) is None
    await store.close()


async def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = engines.connect

    def connect_to_a_small_disk(url: str) -> engines.Engines:
        found = connect(url)
        event.listen(
            found.writes.sync_engine, "connect", lambda raw, _: raw.cursor().execute("PRAGMA max_page_count=120")
        )
        return found

    monkeypatch.setattr("innkeeper.store.sql.connect", connect_to_a_small_disk)
    store = await SqlStore.open(sqlite_url(tmp_path), links=LINKS)

    async def write_much() -> None:
        async with store.begin() as write:
            for _ in range(2000):
                await write.audit(entry("tenant.created", tenant("a")))

    with pytest.raises(DiskFull):
        await write_much()
    async with store.begin() as write:
        assert await write.trail() == []
        await write.add_tenant(tenant("a"))
    await store.close()


@pytest.mark.postgres
async def test_a_server_that_drops_every_connection() -> None:
    async with postgres_url() as url:
        store = await SqlStore.open(url, links=LINKS)

        async def write_while_it_does() -> None:
            async with store.begin() as write:
                await drop_connections(url)
                await write.add_tenant(tenant("a"))

        with pytest.raises(StoreUnavailable):
            await write_while_it_does()
        async with store.begin() as write:
            assert await write.tenants() == []
            await write.add_tenant(tenant("a"))
        await store.close()


async def drop_connections(url: str) -> None:
    """End all that were made with this URL."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    drop = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
    )
    async with engine.connect() as connection:
        assert (await connection.execute(text(drop))).all()
    await engine.dispose()


async def test_no_server_at_all() -> None:
    with pytest.raises(StoreUnavailable) as failure:
        await SqlStore.open("postgresql+psycopg://someone:hunter2@127.0.0.1:1/nothing", links=LINKS)
    assert "hunter2" not in f"{failure.value.message} {failure.value.__cause__!r}"
