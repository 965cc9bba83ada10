"""A lock between processes, so that one builds an image and the others wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

_LOOK_AGAIN_S = 0.2


@contextlib.asynccontextmanager
async def locked(path: Path, *, waiting: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock file; `waiting` is called once if another process has it. The kernel frees it on a crash."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        told = False
        while not _try(descriptor):
            if not told:
                waiting()
                told = True
            await asyncio.sleep(_LOOK_AGAIN_S)  # a blocking flock couldn't be cancelled
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
