"""The file system's errors in the core's words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from innkeeper.core.errors import DiskFull, UnitFault

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_FOLDER = (errno.ELOOP, errno.ENOTDIR)

_HINTS = {
    errno.EBUSY: "Something may be mounted there: see `findmnt`, and take it away. It is tried again by itself.",
    errno.EPERM: "It may be immutable: see `lsattr`, then `chattr -i`. It is tried again by itself.",
}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what the system says about `path` as a UnitFault or DiskFull that names it."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(f"The disk is full, or a quota is used up: {path} could not be written.") from error
        said = "a folder was expected there" if error.errno in _NO_FOLDER else os.strerror(error.errno or 0)
        at = f" ({os.fsdecode(error.filename)!r})" if isinstance(error.filename, str | bytes) else ""
        hint = _HINTS.get(error.errno or 0, "See what is there; it is tried again by itself.")
        raise UnitFault(f"{path}{at}: {said}.", hint=hint) from error
