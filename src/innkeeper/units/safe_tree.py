"""Reading and writing in a tree that belongs to somebody hostile: one name at a time, and never through a link.

The tenant's own code owns its data and may put a link, a FIFO or a folder at any name in it, at any moment. So every
folder is opened from the one above it, what it turns out to be is asked of the open descriptor, and a file is
replaced by renaming a new one over its name, whatever was there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whom a file belongs to."""

    uid: int
    gid: int


@contextmanager
def folder(parent: int, names: Sequence[str] = ()) -> Iterator[int]:
    """A descriptor of the folder that lies `names` deep below `parent`; none of them may be a link."""
    with _descended(parent, names, None) as found:
        yield found


@contextmanager
def made_folder(parent: int, names: Sequence[str], owner: Owner) -> Iterator[int]:
    """The same; folders that are missing are made, and each is given to its owner."""
    with _descended(parent, names, owner) as found:
        yield found


@contextmanager
def _descended(parent: int, names: Sequence[str], owner: Owner | None) -> Iterator[int]:
    current = os.dup(parent)
    try:
        for name in names:
            below = _enter(current, name, owner)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _enter(parent: int, name: str, owner: Owner | None) -> int:
    if owner is None:
        return os.open(name, _FOLDER, dir_fd=parent)
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)
    found = os.open(name, _FOLDER, dir_fd=parent)
    try:
        _give(found, owner)
    except BaseException:
        os.close(found)
        raise
    return found


def _give(descriptor: int, owner: Owner) -> None:
    # Also mends what a crash between making and giving left behind.
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (owner.uid, owner.gid):
        os.fchown(descriptor, owner.uid, owner.gid)


def names_in(parent: int) -> list[str]:
    """What lies in a folder, by name."""
    with os.scandir(parent) as entries:
        return sorted(entry.name for entry in entries)


def read_file(parent: int, name: str, *, limit: int) -> bytes | None:
    """The bytes of a regular file; None where there is none, where something else is, or where it is larger."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=parent)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = file.read(limit + 1)
    return content if len(content) <= limit else None


def replace_file(parent: int, name: str, content: bytes, owner: Owner) -> None:
    """Put a file of 0600 at that name in one rename; one that is just so already is left alone."""
    temporary = f".{name}.new"
    # One that a crash left, or that somebody planted.
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=parent)
    if _is_just_so(parent, name, content, owner):
        return
    descriptor = os.open(temporary, _NEW, 0o600, dir_fd=parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, 0o600)
            _give(descriptor, owner)
            os.fsync(descriptor)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=parent)
        raise
    os.fsync(parent)


def _is_just_so(parent: int, name: str, content: bytes, owner: Owner) -> bool:
    if read_file(parent, name, limit=len(content)) != content:
        return False
    now = os.stat(name, dir_fd=parent, follow_symlinks=False)
    return (now.st_mode, now.st_uid, now.st_gid) == (stat.S_IFREG | 0o600, owner.uid, owner.gid)
