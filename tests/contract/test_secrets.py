"""What every store must keep of secrets: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.errors import Conflict, UnknownTenant
from innkeeper.core.ports import Store
from innkeeper.core.secrets import PLATFORM, SecretVersion
from tests.store.databases import DRIVERS, opened
from tests.store.examples import NOON, tenant

A, B = tenant("a", 0), tenant("b", 1)


def version(name: str, number: int = 1, owner: str = A.id, of: str | None = "a", **more: object) -> SecretVersion:
    """One value's."""
    fields = {"owner": owner, "tenant": of, "name": name, "version": number, "created_at": NOON, "created_by": "admin"}
    return SecretVersion(**{**fields, **more})  # type: ignore[arg-type]


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Two tenants."""
    async with opened(request.param, tmp_path) as store:
        async with store.begin() as write:
            await write.add_tenant(A)
            await write.add_tenant(B)
        yield store


async def test_versions_come_back_as_they_were_in_order_without_their_values(store: Store) -> None:
    ends = version("Z", 2, expires_at=NOON + timedelta(days=1))
    platforms = version("Z", 1, owner=PLATFORM, of=None)
    others = version("Z", 1, owner=B.id, of="b")
    async with store.begin() as write:
        for each in (ends, version("Z"), version("a", 10), version("a", 9), platforms, others):
            await write.secrets.add(each, f"{each.owner} {each.name} {each.version}\0".encode())
    async with store.look() as read:
        assert await read.secrets.versions(A.id) == [version("Z"), ends, version("a", 9), version("a", 10)]
        assert await read.secrets.versions(A.id, "Z") == [version("Z"), ends]
        assert await read.secrets.versions(PLATFORM) == [platforms]
        assert await read.secrets.versions(A.id, "z") == [], "letters count as they are"
        assert await read.secrets.sealed(ends) == f"{A.id} Z 2\0".encode()
        assert await read.secrets.sealed(replace(ends, version=3)) is None
        newest = sorted(await read.secrets.newest(A.id, ["Z", "a", "none"]), key=lambda found: found[0].name)
        assert newest == [(ends, f"{A.id} Z 2\0".encode()), (version("a", 10), f"{A.id} a 10\0".encode())]
        assert await read.secrets.newest(A.id, []) == []
        assert set(await read.secrets.owners()) == {A.id, B.id, PLATFORM}


async def test_a_version_is_set_once_and_for_a_tenant_that_is_there(store: Store) -> None:
    async with store.begin() as write:
        await write.secrets.add(version("Z"), b"x")
    with pytest.raises(Conflict):
        async with store.begin() as write:
            await write.secrets.add(version("Z"), b"y")
    for nobody in (version("Z", 2, of="nobody"), version("Z", 2, owner="t_former")):
        with pytest.raises(UnknownTenant):
            async with store.begin() as write:
                await write.secrets.add(nobody, b"y")
    async with store.look() as read:
        assert await read.secrets.sealed(version("Z")) == b"x"


async def test_versions_or_all_of_a_secret_are_dropped(store: Store) -> None:
    async with store.begin() as write:
        for number in (1, 2, 3):
            await write.secrets.add(version("Z", number), b"x")
        await write.secrets.add(version("Y"), b"x")
        await write.secrets.add(version("Z", owner=B.id, of="b"), b"x")
        assert await write.secrets.drop(A.id, "Z", [1, 2, 7]) == 2
        assert await write.secrets.drop(A.id, "Z", []) == 0
    async with store.begin() as write:
        assert [each.version for each in await write.secrets.versions(A.id, "Z")] == [3]
        assert await write.secrets.drop(A.id, "Z") == 1
        assert await write.secrets.drop(A.id, "Z") == 0
    async with store.look() as read:
        assert [each.name for each in await read.secrets.versions(A.id)] == ["Y"]
        assert len(await read.secrets.versions(B.id)) == 1


async def test_a_tenants_secrets_go_with_it_and_nobody_elses(store: Store) -> None:
    async with store.begin() as write:
        await write.secrets.add(version("Z"), b"x")
        await write.secrets.add(version("Z", owner=B.id, of="b"), b"x")
        await write.secrets.add(version("Z", owner=PLATFORM, of=None), b"x")
        await write.drop_tenant("a", A.id)
    async with store.look() as read:
        assert set(await read.secrets.owners()) == {B.id, PLATFORM}
