"""What Caddy tells of deliveries: its record of those that have ended, and the connections of those that haven't."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

_LISTENS = 0x10000  # the kernel's __SO_ACCEPTCON
_NOT_ACCEPTED = 0
_LOOK_EVERY_S = 0.05
_UNIX_SOCKETS = Path("/proc/net/unix")
_CLIENT_LEFT = 499
"""Caddy's word for: whoever brought the message left before all of it was there, so none of it went on."""


class LookBack:
    """The deliveries that were under way at a certain time."""

    def __init__(self, record: Path, socket: Path, connections: frozenset[int]) -> None:
        self._record = record
        self._socket = socket
        self._connections = connections

    async def ended(self, attempt: str) -> int | None:
        """How an attempt of before that time ended; None: it never reached the tenant."""
        left: frozenset[int] | None = None
        while True:
            # In this order: Caddy writes its record before it lets go of the connection.
            still_left = self._connections & connections(self._socket)
            if still_left != left:
                left = still_left
                status = await asyncio.to_thread(recorded, self._record, attempt)
                if status is not None:
                    return None if status == _CLIENT_LEFT or status < 200 else status
            if not left:
                return None
            await asyncio.sleep(_LOOK_EVERY_S)


async def look_back(record: Path, socket: Path) -> LookBack:
    """What is under way now."""
    while _NOT_ACCEPTED in (found := connections(socket)):  # noqa: ASYNC110 - nor when a connection is accepted
        await asyncio.sleep(_LOOK_EVERY_S)
    return LookBack(record, socket, found)


def connections(socket: Path, *, table: Path = _UNIX_SOCKETS) -> frozenset[int]:
    """The inodes of Caddy's ends of the connections to its socket; 0 is one that it hasn't accepted yet.

    Caddy holds its end until it has done with the request, also when ours is long gone.
    """
    return frozenset(_inodes(table.read_text().splitlines()[1:], str(socket)))


def _inodes(lines: Iterable[str], socket: str) -> Iterable[int]:
    for line in lines:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7] == socket and not int(fields[3], 16) & _LISTENS:
            yield int(fields[6])


def recorded(record: Path, attempt: str) -> int | None:
    """The status in Caddy's record of an attempt, wherever rotation has put it; None: there is none."""
    while True:
        before = _identity(record)
        for file in (record, *sorted(record.parent.glob(f"{record.stem}-*{record.suffix}"), reverse=True)):
            if (status := _status_in(file, attempt)) is not None:
                return status
        if _identity(record) == before:
            return None  # else it was rotated under our eyes, and what we look for may just have moved


def _status_in(file: Path, attempt: str) -> int | None:
    try:
        with file.open("rb") as lines:
            for line in lines:
                if attempt.encode() in line and (status := _status(line, attempt)) is not None:
                    return status
    except FileNotFoundError:
        pass
    return None


def _status(line: bytes, attempt: str) -> int | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return int(told["status"]) if told.get("attempt") == attempt else None


def _identity(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return None
