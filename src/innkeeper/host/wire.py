"""What moves between the host and its tenants, judged twice: who is in use, and at whom somebody knocks just now."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network

from innkeeper.core.ports import Moves
from innkeeper.host.sockets import Reading, SocketTable, own_sockets

WINDOW_S = 60.0
"""Use is judged over so long, for pings and ticks come in bursts half a minute apart …"""
KEPT_EVERY_S = 5.0
"""… with a reading kept so often: one of 2,000 connections takes two thirds of a megabyte."""
PING_BYTES_PER_S = 6.0
"""A client's empty WebSocket ping has six bytes, the smallest frame with anything in it seven (RFC 6455, 5.2). So
between two looks, a second apart, whatever says something wakes a sleeper, and a bare ping doesn't."""

ANSWERS_WITHIN_MS = 120_000
"""An answer that takes longer isn't awaited any more: some say things that want none."""


class Wire:
    """Remembers the socket table of the last minute. Connections of our own (probes, questions) don't count."""

    def __init__(self, *, networks: Callable[[], Sequence[IPv4Network]], quiet_bytes_per_s: float) -> None:
        self._networks = networks
        self._quiet = quiet_bytes_per_s
        self._table = SocketTable(ours=own_sockets)
        self._kept: deque[Reading] = deque()
        self._last: Reading | None = None
        self._one_at_a_time = asyncio.Lock()

    async def look(self) -> Moves:
        """Compare the table with that of the last look and of a minute ago."""
        async with self._one_at_a_time:  # readings that overtake each other can't be compared
            return self._compare(await self._table.read(self._networks()))

    def _compare(self, now: Reading) -> Moves:
        if self._last is not None:
            now.follow(self._last)
        awaited = now.awaited(within_ms=ANSWERS_WITHIN_MS)
        last, self._last = self._last, now
        if last is None:
            self._kept.append(now)
            return Moves(in_use=frozenset(), knocked_at=frozenset(), awaited=awaited)
        while len(self._kept) > 1 and now.at_s - self._kept[1].at_s >= WINDOW_S:
            self._kept.popleft()
        moves = Moves(
            # Something just now, and more in the last minute than keep-alives are.
            in_use=now.moved_since(last, quiet_bytes_per_s=0)
            & now.moved_since(self._kept[0], quiet_bytes_per_s=self._quiet),
            knocked_at=now.moved_since(last, quiet_bytes_per_s=PING_BYTES_PER_S),
            awaited=awaited,
        )
        if now.at_s - self._kept[-1].at_s >= KEPT_EVERY_S:
            self._kept.append(now)
        return moves
