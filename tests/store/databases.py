"""Databases for tests: a SQLite file each, and a schema each in the PostgreSQL that the environment names."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from innkeeper.core.ports import Store
from innkeeper.store.memory import MemoryStore
from innkeeper.store.sql import SqlStore
from tests.support.links import LINKS

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
DATABASES = ["sqlite", POSTGRES]
DRIVERS = ["memory", *DATABASES]


@asynccontextmanager
async def opened(driver: str, folder: Path) -> AsyncIterator[Store]:
    """An empty store of that kind."""
    if driver == "memory":
        yield MemoryStore(links=LINKS)
        return
    async with database(driver, folder) as url:
        store = await SqlStore.open(url, links=LINKS)
        yield store
        await store.close()


@asynccontextmanager
async def database(driver: str, folder: Path) -> AsyncIterator[str]:
    """The URL of an empty database of that kind."""
    if driver == "sqlite":
        yield sqlite_url(folder)
    else:
        async with postgres_url() as url:
            yield url


def sqlite_url(folder: Path) -> str:
    """A database that isn't there yet."""
    return f"sqlite+aiosqlite:///{folder / 'innkeeper.db'}"


@asynccontextmanager
async def postgres_url() -> AsyncIterator[str]:
    """An empty schema, which goes again at the end; the test is skipped where no server is named."""
    server = os.environ.get("INNKEEPER_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("INNKEEPER_TEST_POSTGRES_URL names no server")
    schema = f"test_{secrets.token_hex(6)}"
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE SCHEMA {schema}"))
        try:
            url = make_url(server).update_query_dict({"options": f"-csearch_path={schema}", "application_name": schema})
            yield url.render_as_string(hide_password=False)
        finally:
            await connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    await engine.dispose()
