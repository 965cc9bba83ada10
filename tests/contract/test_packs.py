"""What every store must keep of packs: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from innkeeper.core.errors import Conflict
from innkeeper.core.packs import PackRelease
from innkeeper.core.ports import Store
from tests.store.databases import DRIVERS, opened
from tests.store.examples import NOON, tenant

ONE = PackRelease(
    name="core",
    version="1",
    title="Grüße",
    digest="ab" * 32,
    files=3,
    size=1 << 40,
    added_at=NOON,
    added_by="admin",
)


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as store:
        yield store


async def test_versions_come_back_as_they_were_in_order(store: Store) -> None:
    ten, other = replace(ONE, version="10"), replace(ONE, name="a-lib")
    async with store.begin() as write:
        for each in (ten, ONE, other):
            await write.packs.add(each)
    async with store.look() as read:
        assert list(await read.packs.all()) == [other, ONE, ten]
        assert list(await read.packs.all("core")) == [ONE, ten]
        assert list(await read.packs.all("none")) == []


async def test_a_version_is_added_once_and_dropped_once(store: Store) -> None:
    async with store.begin() as write:
        await write.packs.add(ONE)
    with pytest.raises(Conflict):
        async with store.begin() as write:
            await write.packs.add(replace(ONE, digest="other"))
    async with store.begin() as write:
        assert await write.packs.drop("core", "1")
        assert not await write.packs.drop("core", "1")
        assert list(await write.packs.all()) == []


async def test_a_tenants_packs_are_kept_in_their_order(store: Store) -> None:
    alice = tenant("alice")
    alice = replace(alice, spec=replace(alice.spec, packs=("core", "lib@1", "image:/opt/x")))
    async with store.begin() as write:
        await write.add_tenant(alice)
    async with store.look() as read:
        assert await read.tenant("alice") == alice
