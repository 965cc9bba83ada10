"""The migrations' sum is what the code expects, and a database of another version is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from innkeeper.core.errors import Invalid, StoreUnavailable
from innkeeper.store.migrate import SCRIPTS, newest
from innkeeper.store.sql import SqlStore
from innkeeper.store.tables import metadata
from tests.store.databases import DATABASES, database
from tests.support.links import LINKS


@pytest.fixture(params=DATABASES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with database(request.param, tmp_path) as url:
        yield url


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_the_sum_of_the_migrations_is_the_tables(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        assert len(await connection.run_sync(differences)) >= len(metadata.tables)
    await (await SqlStore.open(url, links=LINKS)).close()
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


def test_migrations_are_named_by_their_numbers() -> None:
    scripts = ScriptDirectory(str(SCRIPTS))
    assert scripts.get_heads() == [newest()]
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"v{script.revision}_")


async def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    await (await SqlStore.open(url, links=LINKS)).close()
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(StoreUnavailable, match="another version"):
        await SqlStore.open(url, links=LINKS)


@pytest.mark.parametrize("url", ["mysql://root:hunter2@localhost/x", "sqlite://", "nonsense hunter2"], indirect=False)
async def test_other_databases_are_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await SqlStore.open(url, links=LINKS)
    assert "hunter2" not in refusal.value.message
