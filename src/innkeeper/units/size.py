"""How much is in a tenant's folder, found without following a link and without looking for ever."""

from __future__ import annotations

import os
from contextlib import suppress
from stat import S_ISDIR

from innkeeper.core.ports import Extent

ENTRIES_MAX = 20_000
"""A folder with more than so many files and folders isn't measured: that would take seconds."""
DEPTH_MAX = 100
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512


def disk_bytes(parent: int, name: str, *, entries: int = ENTRIES_MAX) -> int | None:
    """The blocks that all below it occupy, files with several names counted once; None where it is too large to tell,
    or isn't there. Other file systems that are mounted in it aren't entered."""
    found = extent(parent, name, entries=entries)
    return None if found is None else found.bytes


def extent(parent: int, name: str, *, entries: int) -> Extent | None:
    """The same with the numbers of files and folders."""
    try:
        top = os.open(name, _FOLDER, dir_fd=parent)
    except OSError:
        return None
    walk = _Walk(device=os.fstat(top).st_dev, left=entries)
    try:
        walk.add(top, 0)
    except _TooMuchError:
        return None
    finally:
        os.close(top)
    return Extent(files=walk.files, folders=walk.folders, bytes=walk.bytes)


class _TooMuchError(Exception):
    """There is more than may be looked at."""


class _Walk:
    def __init__(self, *, device: int, left: int) -> None:
        self._device = device
        self._left = left
        self._seen: set[int] = set()
        self.files = self.folders = self.bytes = 0

    def add(self, folder: int, depth: int) -> None:
        """A folder and what is below it; one descriptor for each level."""
        if depth > DEPTH_MAX:
            raise _TooMuchError
        with os.scandir(folder) as entries:
            for entry in entries:
                self._left -= 1
                if self._left < 0:
                    raise _TooMuchError
                with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # its owner is at work in it
                    self._add_entry(folder, entry.name, depth)

    def _add_entry(self, folder: int, name: str, depth: int) -> None:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if found.st_dev != self._device:
            return
        if S_ISDIR(found.st_mode):
            self.folders += 1
        else:
            self.files += 1
        if found.st_nlink > 1 and not S_ISDIR(found.st_mode):
            if found.st_ino in self._seen:
                return
            self._seen.add(found.st_ino)
        self.bytes += found.st_blocks * _BLOCK
        if S_ISDIR(found.st_mode):
            below = os.open(name, _FOLDER, dir_fd=folder)
            try:
                self.add(below, depth + 1)
            finally:
                os.close(below)
