"""Goes after what an erasure had to leave behind: a target that didn't answer, the database's own files."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, TenantGone
from innkeeper.core.receipt_book import ReceiptBook
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.erasures")

LOOK_EVERY_S = 30.0


class ErasureLoop:
    """Looks at once when a tenant is gone, and from time to time."""

    def __init__(self, book: ReceiptBook, *, bus: Bus) -> None:
        self._book = book
        self._look_now = asyncio.Event()
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("erasures", self._run)

    def _follow(self, event: Event) -> None:
        if isinstance(event, TenantGone):
            self._look_now.set()

    async def _run(self) -> None:
        while True:
            self._look_now.clear()
            try:
                await self._book.catch_up()
            except Problem as problem:
                log.warning("erasures can't be finished", code=problem.code, problem=problem.message)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._look_now.wait()
