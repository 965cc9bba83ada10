"""A folder in memory for what is staged for seconds, where this host has room for it."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

SHARED = Path("/dev/shm")  # noqa: S108 - for what it is there for; a folder of our own in it, closed to others
ENTRY_BYTES = 2048
"""An inode of a tmpfs with its name takes about half of that (linux/mm/shmem.c: `struct shmem_inode_info`)."""
_SHARE = 8
"""Of what is available no more than this part is taken."""


def folder_for(data: Path) -> Path:
    """The folder for a data directory."""
    return SHARED / f"innkeeper-{hashlib.sha256(str(data).encode()).hexdigest()[:16]}"


def has_room(folder: Path, size: int) -> bool:
    """Whether so many bytes may be put there: it is in memory, ours alone, and there is plenty of room."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        if not ours or _kind(folder) != "tmpfs":
            return False
        room = os.statvfs(folder)
        return size < min(room.f_bavail * room.f_frsize, _available()) / _SHARE
    except OSError:
        return False


def _kind(folder: Path) -> str:
    """The file system that it lies on."""
    device = os.stat(folder).st_dev  # noqa: PTH116 - st_dev of the folder itself
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with Path("/proc/self/mountinfo").open() as mounts:
        for line in mounts:
            before, _, after = line.partition(" - ")
            if before.split()[2] == wanted:
                return after.split()[0]
    return ""


def _available() -> int:
    with Path("/proc/meminfo").open() as told:
        found = dict(line.split(":") for line in told)
    return int(found["MemAvailable"].split()[0]) * 1024
