"""What every store must keep of drills: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from innkeeper.core.drill import Drill, Outcome, StepTaken
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


def drill(number: int, of: str = "a", outcome: Outcome = Outcome.PROVEN, **others: Any) -> Drill:
    usual: dict[str, Any] = {
        "id": f"op_{number:03}",
        "tenant": of,
        "tenant_id": f"t_{of}",
        "snapshot": "5e" * 32,
        "target": "local",
        "taken_at": NOON,
        "began_at": NOON + timedelta(minutes=number),
        "ended_at": NOON + timedelta(minutes=number, seconds=30),
        "outcome": outcome,
        "steps": (StepTaken(step="restoring", seconds=1.25), StepTaken(step="starting", seconds=0.5)),
    }
    return Drill(**usual | others)


FAILED = {"failed_at": "restoring", "code": "snapshot_damaged", "says": "It's damaged: “…”\nlast words"}


async def put(store: Store, *drills: Drill) -> None:
    async with store.begin() as write:
        for each in drills:
            await write.drills.put(each)


async def test_they_come_back_as_they_were_newest_first(store: Store) -> None:
    kept = [
        drill(1, release="openclaw 2026.9.6", sessions=12),
        drill(2, "b", Outcome.FAILED, **FAILED),
        drill(3, outcome=Outcome.UNTRIED, code="disk_full", steps=()),
    ]
    await put(store, *kept)
    async with store.look() as read:
        assert await read.drills.newest() == kept[::-1]
        assert await read.drills.newest(tenant="a") == [kept[2], kept[0]]
        assert await read.drills.newest(before="op_003", limit=1) == [kept[1]]
        assert await read.drills.get("op_002") == kept[1]
        assert await read.drills.get("op_009") is None


async def test_the_last_proof_is_told_by_tenant(store: Store) -> None:
    kept = [drill(1), drill(2), drill(3, outcome=Outcome.FAILED), drill(4, outcome=Outcome.UNTRIED)]
    other = drill(5, "b", Outcome.FAILED)
    await put(store, *kept, other)
    async with store.look() as read:
        assert await read.drills.proven() == {"a": kept[1]}
        assert await read.drills.latest() == {"a": kept[2], "b": other}
        assert await read.drills.proven(["b"]) == {}
        assert await read.drills.latest(["b"]) == {"b": other}
        assert await read.drills.latest([]) == {}


async def test_written_down_again_it_is_still_one(store: Store) -> None:
    await put(store, drill(1), drill(1, sessions=3))
    async with store.look() as read:
        assert await read.drills.newest() == [drill(1, sessions=3)]


async def test_they_go_with_their_tenant_and_none_comes_after_it(store: Store) -> None:
    await put(store, drill(1), drill(2, "b"))
    async with store.begin() as write:
        await write.drop_tenant("a", "t_a")
        await write.add_tenant(tenant("a", 0, id="t_a_again"))
    await put(store, drill(3), drill(4, "nobody"))
    async with store.look() as read:
        assert await read.drills.newest() == [drill(2, "b")]
