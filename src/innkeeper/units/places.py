"""A folder in which things of many tenants lie, each named by its tenant's id: the core's `Traces`."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from pathlib import Path

from innkeeper.core.ports import Extent
from innkeeper.units.erase import erase
from innkeeper.units.faults import translated
from innkeeper.units.size import extent

COUNTED_MAX = 200_000
_ID = re.compile(r"[A-Za-z0-9_]{1,128}")


class FolderTraces:
    """What lies directly in `root` by the name of `ID`, or `ID` and anything behind a `.` or `-`: nobody else's id
    begins so, while a name may be the beginning of another's."""

    def __init__(self, root: Path, place: str) -> None:
        self._root = root
        self._place = place

    @property
    def place(self) -> str:
        """What receipts call it."""
        return self._place

    async def erase(self, tenant: str, tenant_id: str) -> Extent | None:
        """Remove what is that tenant's."""
        return await asyncio.to_thread(self._erase, tenant_id)

    def _erase(self, tenant_id: str) -> Extent | None:
        with translated(self._root):
            try:
                root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            try:
                with os.scandir(root) as entries:
                    names = [entry.name for entry in entries if _is_of(tenant_id, entry.name)]
                found = [_removed(root, name) for name in names]
            finally:
                os.close(root)
        return Extent(*map(sum, zip(*found, strict=True))) if found else None


def _is_of(tenant_id: str, name: str) -> bool:
    return _ID.fullmatch(tenant_id) is not None and (
        name == tenant_id or name.startswith((f"{tenant_id}.", f"{tenant_id}-"))
    )


def _removed(root: int, name: str) -> Extent:
    """What there was; a file or a link counts as one file, and is removed as what it is."""
    try:
        status = os.stat(name, dir_fd=root, follow_symlinks=False)
        with suppress(IsADirectoryError, PermissionError):
            os.unlink(name, dir_fd=root)
            return Extent(files=1, folders=0, bytes=status.st_blocks * 512)
    except FileNotFoundError:
        return Extent(files=0, folders=0, bytes=0)
    found = extent(root, name, entries=COUNTED_MAX) or Extent(files=0, folders=1, bytes=0)
    erase(root, name)
    return found
