"""A folder in which things of many tenants lie, each named by its tenant's id or by that of the operation that made
it: the core's `Traces`."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from innkeeper.core.ports import Extent
from innkeeper.core.ports.traces import Whose
from innkeeper.units.erase import erase
from innkeeper.units.faults import translated
from innkeeper.units.size import extent

COUNTED_MAX = 200_000
_ID = re.compile(r"[A-Za-z0-9_]{1,128}")
_BLOCK = 512
_NOTHING = Extent(0, 0, 0)


class FolderTraces:
    """What lies directly in `root` by the name of `ID`, or `ID` and anything behind a `.`, `-` or `_`, where ID is the
    tenant's or an operation's on it: nobody else's id begins so, while a name may be the beginning of another's."""

    def __init__(self, root: Path, place: str) -> None:
        self._root = root
        self._place = place

    @property
    def place(self) -> str:
        """What receipts call it."""
        return self._place

    async def extent(self, whose: Whose) -> Extent | None:
        """How much of theirs lies there."""
        return await asyncio.to_thread(self._extent, whose)

    async def erase(self, whose: Whose) -> None:
        """Remove it."""
        await asyncio.to_thread(self._erase, whose)

    def _extent(self, whose: Whose) -> Extent | None:
        with self._entries(whose) as (root, names):
            found = [_extent(root, name) for name in names]
        return Extent(*map(sum, zip(*found, strict=True))) if found else None

    def _erase(self, whose: Whose) -> None:
        with self._entries(whose) as (root, names):
            for name in names:
                _remove(root, name)

    @contextmanager
    def _entries(self, whose: Whose) -> Iterator[tuple[int, list[str]]]:
        """The folder, and what is theirs in it."""
        ids = {each for each in (whose.tenant_id, *whose.operations) if _ID.fullmatch(each)}
        with translated(self._root):
            try:
                root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                yield -1, []
                return
            try:
                with os.scandir(root) as entries:
                    names = sorted(entry.name for entry in entries if _is_of(entry.name, ids))
                yield root, names
            finally:
                os.close(root)


def _is_of(name: str, ids: Collection[str]) -> bool:
    return any(name == each or name.startswith((f"{each}.", f"{each}-", f"{each}_")) for each in ids)


def _extent(root: int, name: str) -> Extent:
    """A file or a link counts as one file."""
    try:
        status = os.stat(name, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return _NOTHING
    return extent(root, name, entries=COUNTED_MAX) or Extent(files=1, folders=0, bytes=status.st_blocks * _BLOCK)


def _remove(root: int, name: str) -> None:
    with suppress(FileNotFoundError):
        try:
            os.unlink(name, dir_fd=root)
        except (IsADirectoryError, PermissionError):  # which of the two it is for a folder, systems don't agree
            erase(root, name)
