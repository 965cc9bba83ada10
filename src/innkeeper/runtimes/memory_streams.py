"""The memory runtime's streams: events for whoever listens, and log lines that can be followed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime

from innkeeper.core.instance import LogLine, RuntimeEvent


class Signals:
    """Hands every event to every listener."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[RuntimeEvent]] = set()

    def send(self, event: RuntimeEvent) -> None:
        """Tell all who listen."""
        for queue in self._queues:
            queue.put_nowait(event)

    @contextmanager
    def subscribed(self) -> Iterator[asyncio.Queue[RuntimeEvent]]:
        """Listen while the block runs."""
        queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)


class Logs:
    """What each tenant's instance wrote."""

    def __init__(self) -> None:
        self._lines: dict[str, list[LogLine]] = {}
        self._followers: defaultdict[str, set[asyncio.Queue[LogLine | None]]] = defaultdict(set)

    def begin(self, tenant: str) -> None:
        """A new instance, which wrote nothing yet."""
        self._lines[tenant] = []

    def write(self, tenant: str, line: LogLine) -> None:
        """One more line."""
        self._lines[tenant].append(line)
        for queue in self._followers.get(tenant, ()):
            queue.put_nowait(line)

    def end(self, tenant: str) -> None:
        """It ended, so nobody follows any longer."""
        for queue in self._followers.pop(tenant, ()):
            queue.put_nowait(None)

    def read(self, tenant: str, *, follow: bool, since: datetime | None, tail: int | None) -> AsyncIterator[LogLine]:
        """The lines so far, and with `follow` those to come until it ends."""
        lines = [line for line in self._lines.get(tenant, ()) if since is None or line.at >= since]
        if tail is not None:
            lines = lines[max(0, len(lines) - tail) :]
        queue: asyncio.Queue[LogLine | None] | None = None
        if follow:
            queue = asyncio.Queue()
            self._followers[tenant].add(queue)
        return self._stream(tenant, lines, queue)

    async def _stream(
        self, tenant: str, lines: list[LogLine], queue: asyncio.Queue[LogLine | None] | None
    ) -> AsyncIterator[LogLine]:
        try:
            for line in lines:
                yield line
            while queue is not None and (line_or_end := await queue.get()) is not None:
                yield line_or_end
        finally:
            if queue is not None and tenant in self._followers:
                self._followers[tenant].discard(queue)
