"""Specs and sights that were written down by an earlier version are read as they were meant."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from innkeeper.store.sql import SqlStore
from tests.store.databases import sqlite_url
from tests.store.examples import tenant
from tests.support.links import LINKS


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
