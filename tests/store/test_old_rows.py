"""What was written down by an earlier version is read as it was meant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, TextClause, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from innkeeper.store.migrate import SCRIPTS
from innkeeper.store.sql import SqlStore
from tests.store.databases import DATABASES, database, sqlite_url
from tests.store.examples import NOON, key, tenant
from tests.store.people import elaborate_token, member, session, ticket, user
from tests.support.links import LINKS

BEFORE_PEOPLE = "0004"


async def test_a_tenant_of_before_there_were_inboxes(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    store = await SqlStore.open(url, links=LINKS)
    async with store.begin() as write:
        await write.add_tenant(tenant("a"))
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        spec, seen = (await connection.execute(text("SELECT spec, seen FROM tenants"))).one()
        old_spec, old_seen = json.loads(spec), json.loads(seen)
        for name in ("public_paths", "inbox"):
            del old_spec[name]
        del old_seen["webhooks"]
        values = {"spec": json.dumps(old_spec), "seen": json.dumps(old_seen)}
        await connection.execute(text("UPDATE tenants SET spec = :spec, seen = :seen"), values)
    await engine.dispose()
    async with store.look() as read:
        assert await read.tenant("a") == tenant("a")
    await store.close()


@pytest.fixture(params=DATABASES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with database(request.param, tmp_path) as url:
        yield url


def make_tables(connection: Connection, version: str) -> None:
    """The tables as they were then."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, version)


async def test_a_database_of_before_there_were_people(url: str, tmp_path: Path) -> None:
    a = tenant("a")
    (tmp_path / "new").mkdir()
    async with database("sqlite", tmp_path / "new") as new:
        store = await SqlStore.open(new, links=LINKS)
        async with store.begin() as write:
            await write.add_tenant(a)
        engine = create_async_engine(new)
        async with engine.connect() as connection:
            row = dict((await connection.execute(text("SELECT * FROM tenants"))).one()._mapping)
        await engine.dispose()
        await store.close()

    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(make_tables, BEFORE_PEOPLE)
        known = await connection.run_sync(lambda sync: _columns(sync, "tenants"))
        row = {name: value for name, value in row.items() if name in known} | {"purge": False}
        await connection.execute(_insert("tenants", row), row)
        kept = {name: value for name, value in vars(key(1, a)).items() if name != "expires_at"}
        kept["created_at"] = NOON.isoformat(timespec="microseconds")
        await connection.execute(_insert("tenant_keys", kept), kept)
        for actor in ("admin", "key_1", "keymaster", "system"):
            line = {"at": kept["created_at"], "actor": actor, "action": "tenant.wake", "detail": "{}"}
            await connection.execute(_insert("audit", line), line)
    await engine.dispose()

    store = await SqlStore.open(url, links=LINKS)
    async with store.look() as read:
        assert await read.tenants() == [a]
        (old,) = await read.keys()
        assert (old.id, old.digest, old.expires_at) == ("k1", key(1, a).digest, None), "it doesn't end"
        kinds = {line.actor: line.kind for _, line in await read.trail()}
        assert kinds == {"admin": "admin", "key_1": "key", "keymaster": "system", "system": "system"}
        assert await read.people.users() == []
    ann = user("ann")
    async with store.begin() as write:  # and everything new fits in
        await write.people.add_user(ann)
        await write.people.put_member(member(a, ann))
        await write.people.add_token(elaborate_token(1, a))
        await write.people.add_session(session(1, ann))
        await write.people.add_ticket(ticket(1, session(1, ann)))
        await write.drop_tenant("a", a.id)
        assert await write.people.members() == []
        assert await write.people.tokens() == []
    await store.close()


def _columns(connection: Connection, table: str) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(table)}


def _insert(table: str, values: dict[str, Any]) -> TextClause:
    names = ", ".join(values)
    return text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in values)})")  # noqa: S608
