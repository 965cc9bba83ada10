"""Supervised loops: what falls is started again, what is asked to end ends."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from innkeeper.loops.supervise import Supervisor, every

pytestmark = pytest.mark.looptime


async def test_a_loop_that_falls_or_ends_is_started_again_with_growing_pauses() -> None:
    starts: list[float] = []

    async def falls() -> None:
        starts.append(asyncio.get_running_loop().time())
        if len(starts) % 2:
            raise ValueError("no")

    restarted: list[str] = []
    supervisor = Supervisor(on_restart=restarted.append)
    supervisor.add("falls", falls)
    async with supervisor.running():
        await asyncio.sleep(1)
        assert supervisor.loops["falls"].alive
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps == pytest.approx([0.1, 0.2, 0.4])
    assert restarted == ["falls"] * 4
    assert supervisor.loops["falls"].last_error == "it ended"


async def test_loops_end_with_the_block() -> None:
    ended = asyncio.Event()

    async def runs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    supervisor = Supervisor()
    supervisor.add("runs", runs)
    async with supervisor.running():
        await asyncio.sleep(0)
    assert ended.is_set()
    assert not supervisor.loops["runs"].alive


async def test_one_loop_falling_leaves_the_others_alone() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        ticks += 1

    async def falls() -> None:
        raise RuntimeError("always")

    supervisor = Supervisor()
    supervisor.add("falls", falls)
    supervisor.add("ticks", lambda: every(1, tick))
    async with supervisor.running():
        await asyncio.sleep(9.5)
    assert ticks == 10


def test_names_are_unique() -> None:
    supervisor = Supervisor()
    supervisor.add("one", lambda: asyncio.sleep(0))
    with pytest.raises(ValueError, match="one"):
        supervisor.add("one", lambda: asyncio.sleep(0))
