"""Looking at a file of a tenant's: what it is, and what is in it, without following a link or waiting on a FIFO."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Sequence

from innkeeper.core.merging import NOTHING, Here
from innkeeper.core.packs import Content

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK = 1 << 20
_BARRED = {errno.ENOTDIR, errno.ELOOP}


def look(top: int, path: str, *, largest: int) -> Here:
    """What is at `path` below the folder `top`; a file larger than `largest` bytes isn't read."""
    *folders, name = path.split("/")
    here = os.dup(top)
    try:
        for depth, folder in enumerate(folders):
            try:
                below = os.open(folder, _FOLDER, dir_fd=here)
            except FileNotFoundError:
                return NOTHING
            except OSError as error:
                if error.errno not in _BARRED:
                    raise
                return Here(odd="something that isn't a folder is above it", blocked=depth)
            os.close(here)
            here = below
        return look_at(here, name, largest=largest)
    finally:
        os.close(here)


def look_at(parent: int, name: str, *, largest: int) -> Here:
    """What has that name in the folder `parent`."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return NOTHING
    if not stat.S_ISREG(found.st_mode):
        return Here(odd=_what(found.st_mode))
    try:
        descriptor = os.open(name, _FILE, dir_fd=parent)
    except FileNotFoundError:
        return NOTHING
    except OSError as error:
        if error.errno not in {*_BARRED, errno.EACCES, errno.ENXIO}:
            raise
        return Here(odd="something that can't be read")
    try:
        return _contents(descriptor, largest)
    finally:
        os.close(descriptor)


def _contents(descriptor: int, largest: int) -> Here:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return Here(odd=_what(status.st_mode))
    told, left = hashlib.sha256(), largest
    while chunk := os.read(descriptor, _CHUNK):
        left -= len(chunk)
        if left < 0:
            return Here(odd="a larger file than any of a pack")
        told.update(chunk)
    return Here(content=Content(told.hexdigest(), bool(status.st_mode & stat.S_IXUSR)))


def _what(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a link"
    return "a folder" if stat.S_ISDIR(mode) else "no plain file"


def exists(top: int, path: str) -> bool:
    """Whether anything is at `path`, reached through folders alone."""
    names: Sequence[str] = path.split("/")
    here = os.dup(top)
    try:
        for folder in names[:-1]:
            below = os.open(folder, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        os.stat(names[-1], dir_fd=here, follow_symlinks=False)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(here)
