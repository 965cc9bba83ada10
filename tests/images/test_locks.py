"""The lock between builds."""

from __future__ import annotations

import asyncio
from pathlib import Path

from innkeeper.images.locks import locked


async def test_the_second_waits_says_so_once_and_comes_next(tmp_path: Path) -> None:
    told: list[str] = []
    order: list[str] = []
    waiting, release = asyncio.Event(), asyncio.Event()

    def tell() -> None:
        told.append("waiting")
        waiting.set()

    async def second() -> None:
        async with locked(tmp_path / "lock", waiting=tell):
            order.append("second")

    async with locked(tmp_path / "lock", waiting=release.set):
        task = asyncio.create_task(second())
        await waiting.wait()
        order.append("first")
    await task
    assert order == ["first", "second"]
    assert told == ["waiting"]
    assert not release.is_set()


async def test_giving_up_waiting_leaves_the_lock_alone(tmp_path: Path) -> None:
    waiting = asyncio.Event()

    async def second() -> None:
        async with locked(tmp_path / "lock", waiting=waiting.set):
            raise AssertionError("never reached")

    async with locked(tmp_path / "lock", waiting=waiting.clear):
        task = asyncio.create_task(second())
        await waiting.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
    async with locked(tmp_path / "lock", waiting=lambda: None):
        pass
