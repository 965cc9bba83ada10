"""Event streams cut into events without changing a byte."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

EVENT_LIMIT = 1024 * 1024
"""A longer event is passed on in pieces, unread: memory stays bounded whatever a provider sends."""

# A blank line: two ends of line, where CR LF counts as one. A CR that ends a chunk may yet get its LF.
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LONGEST_BLANK_LINE = 4


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event as it stood in the stream, the blank line after it included."""

    raw: bytes

    @property
    def data(self) -> bytes:
        """Its payload."""
        lines = (line for line in self.raw.splitlines() if line.startswith(b"data:"))
        return b"\n".join(line.removeprefix(b"data:").removeprefix(b" ") for line in lines)


class EventSplitter:
    """Takes a stream as it comes and gives whole events; all their bytes together are the stream's."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._searched = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that this chunk completes."""
        self._pending += chunk
        while found := _BLANK_LINE.search(self._pending, self._searched):
            yield self._take(found.end())
        self._searched = max(0, len(self._pending) - _LONGEST_BLANK_LINE)
        if len(self._pending) > EVENT_LIMIT:
            yield self._take(len(self._pending))

    def rest(self) -> Event:
        """What came after the last blank line; empty for a stream that ends as it should."""
        return self._take(len(self._pending))

    def _take(self, length: int) -> Event:
        event = Event(raw=bytes(self._pending[:length]))
        del self._pending[:length]
        self._searched = 0
        return event
