"""A trace of requests as a file or from standard input, read a line at a time however large it is."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from innkeeper.core.simulate.trace import LINE_MAX

STDIN = "-"


class TraceFile:
    """An open one, and how much of it has been read."""

    def __init__(self, file: BinaryIO, *, name: str) -> None:
        self.name = name
        self._file = file
        found = os.fstat(file.fileno())
        self._size = found.st_size if stat.S_ISREG(found.st_mode) else 0
        self._read = 0

    @classmethod
    @contextmanager
    def open(cls, path: str) -> Iterator[TraceFile]:
        """The file at `path`; `-` is standard input. OSError where it can't be read."""
        with nullcontext(sys.stdin.buffer) if path == STDIN else Path(path).open("rb") as file:
            yield cls(file, name="standard input" if path == STDIN else path)

    def lines(self) -> Iterator[bytes]:
        """Line by line; of one that is too long only the beginning, so that no file fills the memory."""
        while line := self._file.readline(LINE_MAX + 1):
            self._read += len(line)
            yield line

    @property
    def share(self) -> float | None:
        """Which part has been read; None where its end can't be known."""
        return min(1.0, self._read / self._size) if self._size else None
