"""Renames that the standard library doesn't have: of two names for each other's files, in one step."""

from __future__ import annotations

import ctypes
import errno
import os

_RENAME_EXCHANGE = 2
_UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}

_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: str, other: str, *, one_dir: int, other_dir: int) -> bool:
    """Swap what the two names mean, whatever that is; False, with nothing done, where the file system can't."""
    renameat2 = getattr(_libc, "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(one_dir, os.fsencode(one), other_dir, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNKNOWN:
        return False
    raise OSError(code, os.strerror(code), other)
