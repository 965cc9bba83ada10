"""Which commits wait for the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from innkeeper.store.engines import connect
from tests.store.databases import postgres_url, sqlite_url

NORMAL, FULL = 1, 2


async def test_on_sqlite_only_those_that_must(tmp_path: Path) -> None:
    engines = connect(sqlite_url(tmp_path))

    async def level(engine: AsyncEngine) -> int:
        async with engine.begin() as connection:
            return int((await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one())

    seen = [
        await level(each) for each in (engines.writes, engines.synced, engines.synced, engines.writes, engines.synced)
    ]
    assert seen == [NORMAL, FULL, FULL, NORMAL, FULL]
    await engines.dispose()


@pytest.mark.postgres
async def test_on_postgresql_also_where_its_operator_has_said_otherwise() -> None:
    async with postgres_url() as url:
        said = make_url(url)
        options = f"{said.query['options']} -csynchronous_commit=off"
        engines = connect(said.update_query_dict({"options": options}).render_as_string(hide_password=False))

        async def level(engine: AsyncEngine) -> str:
            async with engine.begin() as connection:
                return str((await connection.exec_driver_sql("SHOW synchronous_commit")).scalar_one())

        seen = [await level(each) for each in (engines.writes, engines.synced, engines.writes)]
        assert seen == ["off", "on", "off"]
        await engines.dispose()
