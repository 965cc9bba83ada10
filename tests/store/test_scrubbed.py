"""After a purge nothing of the tenant is left in the database's own files, neither in free pages nor in the log."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from pathlib import Path

import pytest

from innkeeper.core.ports import Store
from innkeeper.core.secrets import SecretVersion
from innkeeper.store.sql import SqlStore
from tests.store.databases import sqlite_url
from tests.store.examples import NOON, entry, issuing, message, tenant
from tests.support.links import LINKS


def found(folder: Path, canary: bytes) -> list[str]:
    """The files below the folder that hold it."""
    return [path.name for path in sorted(folder.rglob("*")) if path.is_file() and canary in path.read_bytes()]


async def plant(store: Store, canary: bytes, *, number: int = 200) -> None:
    """A tenant with messages and secrets that hold it, large and small, some of them dropped already."""
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
        for each in range(number):
            await write.messages.add(message("a", each), canary * (each * 5 + 1))
        for version in range(20):
            secret = SecretVersion(
                owner="t_a", tenant="a", name="S", version=version, created_at=NOON, created_by=canary.hex()
            )
            await write.secrets.add(secret, canary * 3)
    async with store.begin() as write:
        await write.messages.drop([message("a", each).id for each in range(0, number, 3)])


async def purge(store: Store) -> None:
    lease = await store.claim("a", holder="one", for_s=30)
    assert lease is not None
    await store.erase(lease, "t_a", [], entry("tenant.erased", tenant("a")), issue=issuing("a"))


async def test_nothing_is_left_in_any_file(tmp_path: Path) -> None:
    canary = secrets.token_bytes(24)
    store = await SqlStore.open(sqlite_url(tmp_path), links=LINKS)
    await plant(store, canary)
    assert found(tmp_path, canary)
    await purge(store)
    assert await store.scrub()
    assert found(tmp_path, canary) == []
    assert found(tmp_path, canary.hex().encode()) == []
    assert (tmp_path / "innkeeper.db-wal").stat().st_size == 0
    await store.close()


async def test_a_reader_puts_it_off(tmp_path: Path) -> None:
    canary = secrets.token_bytes(24)
    store = await SqlStore.open(sqlite_url(tmp_path), links=LINKS)
    await plant(store, canary, number=5)
    async with store.look() as read:
        assert await read.tenant("a") is not None  # only now it reads what there is at that moment
        await purge(store)
        assert not await store.scrub()
    assert await store.scrub()
    assert found(tmp_path, canary) == []
    await store.close()


async def test_a_database_of_before_is_cleaned_once(tmp_path: Path) -> None:
    """What was dropped by a version that left it in free pages."""
    canary = secrets.token_bytes(24)
    store = await SqlStore.open(sqlite_url(tmp_path), links=LINKS)
    await store.close()

    def as_before() -> None:
        with sqlite3.connect(tmp_path / "innkeeper.db", isolation_level=None) as connection:
            connection.execute("PRAGMA user_version = 0")
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("CREATE TABLE old (content BLOB)")
            connection.executemany("INSERT INTO old VALUES (?)", [(canary * 50,)] * 50)
            connection.execute("DELETE FROM old")
            connection.execute("DROP TABLE old")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    await asyncio.to_thread(as_before)
    assert found(tmp_path, canary)
    store = await SqlStore.open(sqlite_url(tmp_path), links=LINKS)
    assert await store.scrub()
    assert found(tmp_path, canary) == []
    await store.close()


@pytest.mark.timeout(60)
async def test_two_who_open_an_old_one_at_once(tmp_path: Path) -> None:
    await (await SqlStore.open(sqlite_url(tmp_path), links=LINKS)).close()

    def as_before() -> None:
        with sqlite3.connect(tmp_path / "innkeeper.db", isolation_level=None) as connection:
            connection.execute("PRAGMA user_version = 0")
        connection.close()

    await asyncio.to_thread(as_before)
    stores = await asyncio.gather(*(SqlStore.open(sqlite_url(tmp_path), links=LINKS) for _ in range(4)))
    for store in stores:
        await store.close()
