"""What every store must keep of the names that tenants ask for: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.core.egress import AskedName
from innkeeper.core.ports import Store
from tests.store.databases import DRIVERS, opened
from tests.store.examples import NOON, tenant


@pytest.fixture(params=DRIVERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as store:
        async with store.begin() as write:
            await write.add_tenant(tenant("a", 0))
            await write.add_tenant(tenant("b", 1))
        yield store


def asked(name: str, minute: int = 0, *, times: int = 1, refused: int = 0) -> AskedName:
    at = NOON + timedelta(minutes=minute)
    return AskedName(name=name, first_seen=at, last_seen=at, asked=times, refused=refused)


async def added(store: Store, tenant_name: str, *names: AskedName, keep: int = 100) -> list[str]:
    async with store.begin() as write:
        return sorted(await write.asked_names.add(tenant_name, f"t_{tenant_name}", names, keep=keep))


async def kept(store: Store, tenant_name: str) -> list[AskedName]:
    async with store.look() as read:
        return list(await read.asked_names.of(tenant_name))


async def test_names_come_back_by_name_and_to_their_tenant(store: Store) -> None:
    await added(store, "a", asked("z.example"), asked("_srv._tcp.b.example"), asked("B\\032.example", 1, times=1 << 40))
    assert await kept(store, "a") == [
        asked("B\\032.example", 1, times=1 << 40),
        asked("_srv._tcp.b.example"),
        asked("z.example"),
    ]
    assert await kept(store, "b") == []


async def test_numbers_are_summed_and_moments_widened(store: Store) -> None:
    await added(store, "a", asked("x.example", 5, times=2), asked("y.example", 5))
    await added(store, "a", asked("x.example", 1, times=3, refused=1))
    both = AskedName(
        name="x.example",
        first_seen=NOON + timedelta(minutes=1),
        last_seen=NOON + timedelta(minutes=5),
        asked=5,
        refused=1,
    )
    assert await kept(store, "a") == [both, asked("y.example", 5)]


async def test_those_asked_for_last_stay(store: Store) -> None:
    await added(store, "a", *(asked(f"{minute}.example", minute) for minute in range(5)), keep=3)
    assert [each.name for each in await kept(store, "a")] == ["2.example", "3.example", "4.example"]
    await added(store, "a", asked("2.example", 9), asked("9.example", 9), keep=3)
    assert [each.name for each in await kept(store, "a")] == ["2.example", "4.example", "9.example"]


async def test_newly_refused_names_are_told(store: Store) -> None:
    assert await added(store, "a", asked("x.example"), asked("y.example", refused=1)) == ["y.example"]
    assert await added(store, "a", asked("x.example", refused=1), asked("y.example", refused=1)) == ["x.example"]


async def test_names_are_forgotten_and_go_with_their_tenant(store: Store) -> None:
    await added(store, "a", asked("x.example"), asked("y.example"))
    await added(store, "b", asked("x.example"))
    async with store.begin() as write:
        assert await write.asked_names.forget("a") == 2
        assert await write.asked_names.forget("a") == 0
    assert await kept(store, "a") == []
    async with store.begin() as write:
        await write.drop_tenant("b", "t_b")
        await write.add_tenant(tenant("b", 1, id="t_other"))
    assert await kept(store, "b") == []
    assert await added(store, "b", asked("x.example", refused=1)) == [], "of a tenant that is gone"
    assert await added(store, "nobody", asked("x.example", refused=1)) == []
    assert await kept(store, "b") == []
