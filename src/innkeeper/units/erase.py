"""Removing a tree that belongs to somebody hostile, however deep, wide or busy it is."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STUCK = (errno.EPERM, errno.EACCES, errno.EBUSY)
_ROUNDS = 1_000_000
"""How often a folder is emptied again before we give up: one for each level of depth, or for each new file of somebody
who still writes."""


def erase(parent: int, name: str) -> None:
    """Remove the folder `name` and all that is in it; repeatable, and fine where it isn't there.

    Folders found inside are moved up into it before they are emptied, so that any depth takes three descriptors and
    no recursion. Links are removed, never followed. What another file system is mounted on can't be moved, so it is
    never entered: it raises EBUSY. What is immutable raises EPERM. All that isn't in the way of that goes before.
    """
    try:
        top = _open(parent, name)
    except FileNotFoundError:
        return
    try:
        _until_empty(parent, name, top, top)
    finally:
        os.close(top)


class _Round:
    """What came of going through a folder once."""

    def __init__(self) -> None:
        self.moved_on = False
        self.stuck: OSError | None = None
        """The first that can't be removed."""

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Remove one entry; who still runs in it may be quicker, and the next round sees what is left."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self.moved_on = True
        except OSError as error:
            if error.errno not in _STUCK:
                raise
            self.stuck = self.stuck or error
        else:
            self.moved_on = True


def _until_empty(parent: int, name: str, here: int, top: int) -> None:
    """Empty the folder `here`, which is `name` in `parent`, until it can be removed."""
    for _ in range(_ROUNDS):
        tried = _Round()
        _empty(here, top, tried)
        try:
            os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if tried.stuck is not None and not tried.moved_on:
                raise tried.stuck from None
        else:
            return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)


def _empty(here: int, top: int, tried: _Round) -> None:
    with os.scandir(here) as entries:
        for entry in entries:
            with tried.trying():
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=here)
                elif here == top:
                    _remove_below(top, entry.name)
                else:
                    _remove_or_move_up(here, entry.name, top)


def _remove_below(top: int, name: str) -> None:
    below = _open(top, name)
    try:
        _until_empty(top, name, below, top)
    finally:
        os.close(below)


def _remove_or_move_up(here: int, name: str, top: int) -> None:
    try:
        os.rmdir(name, dir_fd=here)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        os.rename(name, f".{secrets.token_hex(8)}", src_dir_fd=here, dst_dir_fd=top)


def _open(parent: int, name: str) -> int:
    try:
        found = os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        _unlock(parent, name)
        found = os.open(name, _FOLDER, dir_fd=parent)
    if os.fstat(found).st_mode & 0o700 != 0o700:
        os.fchmod(found, 0o700)
    return found


def _unlock(parent: int, name: str) -> None:
    # Only the super-user reads a folder of mode 000; its owner has to change the mode first, and not through a link.
    path_only = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{path_only}").chmod(0o700)
    finally:
        os.close(path_only)
