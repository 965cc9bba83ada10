"""Calls of tools in the trail: none is lost, none waits for the disk, and arguments aren't told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from innkeeper.core import tool_trail
from innkeeper.core.audit import Entry
from innkeeper.core.errors import StoreUnavailable
from innkeeper.core.tool_trail import KEPT_BYTES, ToolTrail
from innkeeper.core.tools import Outcome
from tests.support.house import House
from tests.support.people import PlainSeals


async def opened(house: House) -> ToolTrail:
    await house.create("alice")
    await house.create("bob")
    return ToolTrail(store=house.store, clock=house.clock, fingerprints=PlainSeals())


async def note(house: House, trail: ToolTrail, whose: str = "alice", **more: Any) -> None:
    said = {"began": trail.now(), "seconds": 0.1234, "outcome": Outcome.OK, "tool": "echo", "server": "docs", **more}
    trail.note(await house.tenant(whose), **said)


async def lines(house: House) -> Sequence[Entry]:
    async with house.store.look() as tx:
        return [entry for _, entry in await tx.trail(limit=10_000) if entry.action == "tool.call"]


async def test_equal_arguments_are_told_from_others_and_only_within_a_tenant() -> None:
    house = House()
    trail = await opened(house)
    for whose, arguments in (
        ("alice", {"a": 1, "b": 2}),
        ("alice", {"b": 2, "a": 1}),
        ("alice", {"a": 1, "b": 3}),
        ("bob", {"a": 1, "b": 2}),
    ):
        await note(house, trail, whose, arguments=arguments)
    await trail.write()
    one, same, other, another = [entry.detail["arguments_hash"] for entry in await lines(house)]
    assert one == same
    assert len({one, other, another}) == 3


@pytest.mark.parametrize(("size", "kept"), [(10, True), (KEPT_BYTES + 1, False)])
async def test_arguments_are_kept_where_they_are_to_be_and_arent_too_long(size: int, kept: bool) -> None:
    house = House()
    trail = await opened(house)
    await note(house, trail, arguments={"text": "x" * size}, keep_arguments=True)
    await trail.write()
    (line,) = await lines(house)
    assert ("arguments" in line.detail) is kept
    assert ("arguments_hash" in line.detail) is not kept


@pytest.mark.parametrize("tool", ["x" * 100_000, "\0\x1b[2J", "\ud800", "Ünïcödé"])
async def test_whatever_an_agent_calls_a_tool_can_be_written_down(tool: str) -> None:
    house = House()
    trail = await opened(house)
    await note(house, trail, tool=tool, server=None, outcome=Outcome.REFUSED, arguments={"\ud800": "\0"})
    await trail.write()
    (line,) = await lines(house)
    assert len(str(line.detail["tool"])) <= 200


async def test_a_store_that_is_away_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    trail = await opened(house)
    monkeypatch.setattr(tool_trail, "BATCH_EVERY_S", 0)
    monkeypatch.setattr(tool_trail, "BATCH_MAX", 2)
    tried, begin = asyncio.Event(), house.store.begin

    def away(*, synced: bool = False) -> Any:
        tried.set()
        raise StoreUnavailable("The database is away.")

    monkeypatch.setattr(house.store, "begin", away)
    writing = asyncio.create_task(trail.keep_writing())
    for _ in range(5):
        await note(house, trail)
    await tried.wait()
    assert await lines(house) == []
    monkeypatch.setattr(house.store, "begin", begin)
    while len(await lines(house)) < 5:
        await asyncio.sleep(0)
    writing.cancel()


async def test_the_end_writes_down_the_rest() -> None:
    house = House()
    trail = await opened(house)
    await note(house, trail)
    await trail.close()
    (line,) = await lines(house)
    assert line.detail["seconds"] == 0.123
