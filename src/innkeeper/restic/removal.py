"""Removing repositories, which restic itself can't."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from innkeeper.core.errors import UnitFault
from innkeeper.restic.shelves import ASIDE

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
GONE, NEW = ".gone-", ".new-"
"""What the names of folders begin with that are being removed, and made."""


def remove_folder(folder: Path, erase: Callable[[int, str], None]) -> None:
    """Remove a repository on a disk, and what a crash has left of making or removing it; repeatable."""
    try:
        parent = os.open(folder.parent, _FOLDER)
    except FileNotFoundError:
        return
    try:
        # Renamed first: half a repository is never taken for a whole one.
        gone, aside, fresh = f"{GONE}{folder.name}", f"{ASIDE}{folder.name}", f"{NEW}{folder.name}-"
        erase(parent, gone)
        with suppress(FileNotFoundError):
            os.rename(folder.name, gone, src_dir_fd=parent, dst_dir_fd=parent)
        with os.scandir(parent) as entries:
            names = [each.name for each in entries if each.name in (gone, aside) or each.name.startswith(fresh)]
        for name in names:
            erase(parent, name)
        os.fsync(parent)
    except OSError as error:
        raise UnitFault(f"{folder} could not be removed: {os.strerror(error.errno or errno.EIO)}.") from error
    finally:
        os.close(parent)
