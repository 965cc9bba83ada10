"""Where snapshots are laid out for drills: one folder a drill, removed with whatever is in it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from innkeeper.core.errors import UnitFault
from innkeeper.core.ports import Units
from innkeeper.core.tenant import check_name
from innkeeper.units.erase import erase
from innkeeper.units.faults import translated
from innkeeper.units.layout import PERSISTENCE, FolderUnits

_DRILL = re.compile(r"[a-z0-9_]{1,64}")


class FolderStaging:
    """The core's `Staging` below `root`, which is made when it is first needed."""

    def __init__(self, root: Path, *, owner_uid: int = 1000, owner_gid: int = 1000) -> None:
        self._root = root
        self._owner = owner_uid, owner_gid

    async def make(self, drill: str, unit: str) -> Path:
        """Made anew."""
        return await asyncio.to_thread(self._make, _checked(drill), check_name(unit))

    def units(self, drill: str) -> Units:
        """The drill's folder, with the unit in it."""
        uid, gid = self._owner
        return FolderUnits(self._root / _checked(drill), owner_uid=uid, owner_gid=gid)

    async def check(self, drill: str, unit: str) -> None:
        """No part of the way there may be a link."""
        await asyncio.to_thread(self._check, self._root / _checked(drill) / check_name(unit) / PERSISTENCE)

    async def free_bytes(self) -> int:
        """By the file system that the folders are to lie on."""
        return await asyncio.to_thread(self._free_bytes)

    async def erase(self, drill: str) -> None:
        """However deep, wide or strange what is in it."""
        await asyncio.to_thread(self._erase, _checked(drill))

    async def names(self) -> Sequence[str]:
        """Those that can be a drill's."""
        return await asyncio.to_thread(self._names)

    def _make(self, drill: str, unit: str) -> Path:
        self._erase(drill)
        folder = self._root / drill / unit
        with translated(folder):
            folder.mkdir(mode=0o700, parents=True)
            for each in (self._root, folder.parent, folder):
                each.chmod(0o700)
        return folder

    def _check(self, data: Path) -> None:
        with translated(data):
            if not stat.S_ISDIR(data.lstat().st_mode):
                raise UnitFault(f"{data} is no folder, as a tenant's data is.", hint="Drill another snapshot.")

    def _free_bytes(self) -> int:
        with translated(self._root):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            return shutil.disk_usage(self._root).free

    def _erase(self, drill: str) -> None:
        with translated(self._root / drill):
            try:
                root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            try:
                erase(root, drill)
            finally:
                os.close(root)

    def _names(self) -> list[str]:
        with translated(self._root):
            try:
                entries = sorted(entry.name for entry in self._root.iterdir() if not entry.is_symlink())
            except FileNotFoundError:
                return []
        return [name for name in entries if _DRILL.fullmatch(name)]


def _checked(drill: str) -> str:
    if not _DRILL.fullmatch(drill):
        raise UnitFault(f"{drill[:64]!r} can't be a drill's id.")
    return drill
