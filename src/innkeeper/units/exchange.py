"""Two names of one file system that change places, in one step where the file system can."""

from __future__ import annotations

import ctypes
import errno
import os

_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_UNABLE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one_folder: int, one: str, other_folder: int, other: str) -> bool:
    """Have both names change places, so that neither is ever missing; False where this host or its file system can't,
    and nothing was done."""
    renameat2 = getattr(_libc, "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(one_folder, os.fsencode(one), other_folder, os.fsencode(other), _EXCHANGE) == 0:
        return True
    error = ctypes.get_errno()
    if error in _UNABLE:
        return False
    raise OSError(error, os.strerror(error), one)
