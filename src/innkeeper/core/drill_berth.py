"""Room for a drill: it starts when no tenant waits to, and takes memory only where some is left over."""

from __future__ import annotations

import asyncio

from innkeeper.core.boarding import Boarding, NotYet

AGAIN_S = 60.0
LOOK_EVERY_S = 1.0


class DrillBerth:
    """Stands behind every tenant in the line."""

    def __init__(self, boarding: Boarding) -> None:
        self._boarding = boarding

    async def admit(self, drill: str, memory_mb: int) -> None:
        """Promise it its memory until `leave`; NotYet where it isn't free. Nobody is put to sleep for a drill."""
        if not await self._boarding.room.spare(drill, memory_mb):
            raise NotYet(f"waiting until {memory_mb} MB of memory are free", again_s=AGAIN_S)

    async def turn(self, drill: str) -> None:
        """Wait until it may start."""
        turnstile = self._boarding.turnstile
        while turnstile.waiting or not turnstile.enter(drill):
            if turnstile.waiting:
                turnstile.leave(drill)
            await asyncio.sleep(LOOK_EVERY_S)

    def started(self, drill: str) -> None:
        """It is up: the next may start."""
        self._boarding.turnstile.leave(drill)

    def leave(self, drill: str) -> None:
        """It is gone."""
        self._boarding.turnstile.leave(drill)
        self._boarding.room.settled(drill, up=False)
