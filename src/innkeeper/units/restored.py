"""What came out of a snapshot, looked through before it becomes a tenant's data."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from innkeeper.units.safe_tree import Owner

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SQLITE = b"SQLite format 3\0"
_SET_ID = stat.S_ISUID | stat.S_ISGID


@dataclass(kw_only=True)
class Found:
    """What a look through it has found."""

    files: int = 0
    databases: list[str] = field(default_factory=list)
    """Paths of what begins like a SQLite database."""


def look_through(top: int, owner: Owner) -> Found:
    """Give all below the folder `top` to its owner, without set-user-id bits; nobody else may be at work in it.

    One descriptor at a time and no recursion: a snapshot may hold a tree of any depth.
    """
    found = Found()
    waiting = [""]
    while waiting:
        path = waiting.pop()
        with _entered(top, path) as folder:
            for entry in os.scandir(folder.fd):
                inside = f"{path}/{entry.name}" if path else entry.name
                status = entry.stat(follow_symlinks=False)
                _own(folder.fd, entry.name, status, owner)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(inside)
                    continue
                found.files += 1
                if stat.S_ISREG(status.st_mode) and status.st_size and _is_database(folder.fd, entry.name):
                    found.databases.append(inside)
    return found


class _Entered:
    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __enter__(self) -> _Entered:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _entered(top: int, path: str) -> _Entered:
    current = os.dup(top)
    for name in _names(path):
        try:
            below = os.open(name, _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = below
    return _Entered(current)


def _names(path: str) -> Iterator[str]:
    return (name for name in path.split("/") if name)


def _own(folder: int, name: str, status: os.stat_result, owner: Owner) -> None:
    if (status.st_uid, status.st_gid) != (owner.uid, owner.gid):
        os.chown(name, owner.uid, owner.gid, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode) and status.st_mode & _SET_ID:
        os.chmod(name, stat.S_IMODE(status.st_mode) & ~_SET_ID, dir_fd=folder)


def _is_database(folder: int, name: str) -> bool:
    with suppress(OSError):
        descriptor = os.open(name, _FILE, dir_fd=folder)
        try:
            return os.read(descriptor, len(_SQLITE)) == _SQLITE
        finally:
            os.close(descriptor)
    return False
