"""Supervised loops: each has a name and an end; one that falls is logged, counted and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

log = structlog.get_logger("innkeeper.loops")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
CALM_S = 60.0
"""A loop that held for so long starts again at once the next time."""

Body = Callable[[], Awaitable[None]]


@dataclass
class Loop:
    """One loop, and how it fares."""

    name: str
    body: Body
    restarts: int = 0
    last_error: str | None = None
    task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs, or waits to be started again."""
        return self.task is not None and not self.task.done()


class Supervisor:
    """Owns the process's loops from start to end."""

    def __init__(self, *, on_restart: Callable[[str], None] = lambda name: None) -> None:
        self.loops: dict[str, Loop] = {}
        self._on_restart = on_restart

    def add(self, name: str, body: Body) -> None:
        """Take a loop on; names are unique."""
        if name in self.loops:
            raise ValueError(f"there is a loop {name} already")
        self.loops[name] = Loop(name=name, body=body)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Every loop runs while the block does; at its end they are cancelled and waited for."""
        for loop in self.loops.values():
            loop.task = asyncio.create_task(self._guard(loop), name=loop.name)
        try:
            yield
        finally:
            tasks = [loop.task for loop in self.loops.values() if loop.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _guard(self, loop: Loop) -> None:
        """Run the loop's body for ever: it isn't meant to end, so an end is a fault too."""
        pause_s = FIRST_PAUSE_S
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                await loop.body()
                loop.last_error = "it ended"
                log.error("loop ended", loop=loop.name)
            except Exception as error:
                loop.last_error = f"{type(error).__name__}: {error}"
                log.exception("loop fell", loop=loop.name)
            loop.restarts += 1
            self._on_restart(loop.name)
            if clock() - began >= CALM_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` now and then again `seconds` after each end."""
    while True:
        await work()
        await asyncio.sleep(seconds)
