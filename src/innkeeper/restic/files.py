"""The files of a repository themselves: what restic can't do is to put one aside that isn't what was written.

restic names each file but the config by the SHA-256 of its content. What is put aside lies beside the repository, in
`.aside-OWNER`, under the name that it had in it; it is removed with the repository.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from innkeeper.core.snapshot_errors import BackupFailed
from innkeeper.restic.shelves import ASIDE, Shelf

_KINDS = ("data", "index", "keys", "snapshots")


class Files(Protocol):
    """Those of one repository."""

    async def names(self) -> Sequence[str]:
        """Of `config` and the keys, as far as they are there, and something of the rest if there is any."""
        ...

    async def read(self, name: str) -> bytes: ...

    async def put(self, name: str, content: bytes) -> None:
        """Write it, whole or not at all."""
        ...

    async def aside(self, name: str) -> None:
        """Put it aside; fine where it is gone."""
        ...

    async def all_aside(self) -> None:
        """Put the whole repository aside."""
        ...


class NearFiles:
    """On a disk of this host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aside = folder.parent / f"{ASIDE}{folder.name}"

    async def names(self) -> Sequence[str]:
        """All of them."""
        return await asyncio.to_thread(lambda: [str(path.relative_to(self._folder)) for path in _files(self._folder)])

    async def damaged(self) -> Sequence[str]:
        """Every file whose content isn't what it was, or that can't be read; all of them are read for that."""
        return await asyncio.to_thread(self._damaged)

    def _damaged(self) -> Sequence[str]:
        there = [path for path in _files(self._folder) if path.relative_to(self._folder).parts[0] in _KINDS]
        return [str(path.relative_to(self._folder)) for path in there if not _is_as_named(path)]

    async def read(self, name: str) -> bytes:
        """Its content."""
        return await asyncio.to_thread((self._folder / name).read_bytes)

    async def put(self, name: str, content: bytes) -> None:
        """By way of another name."""

        def write() -> None:
            fresh = self._folder / f".{name}.new"
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._folder / name)

        await asyncio.to_thread(write)

    async def aside(self, name: str) -> None:
        """Under a name that is free there."""
        await asyncio.to_thread(_moved, self._folder / name, self._aside / name)

    async def all_aside(self) -> None:
        """As one folder; BackupFailed where that never was a repository."""
        if not await asyncio.to_thread(was_one, self._folder):
            raise BackupFailed(f"{self._folder} is in the way, and no repository.")
        await asyncio.to_thread(_moved, self._folder, self._aside / "whole")


class FarFiles:
    """At a place that is reached by its own protocol."""

    def __init__(self, shelf: Shelf, owner: str) -> None:
        self._shelf = shelf
        self._owner = owner

    async def names(self) -> Sequence[str]:
        """As it lists them."""
        return await self._shelf.names(self._owner)

    async def read(self, name: str) -> bytes:
        """Fetched."""
        return await self._shelf.get(self._owner, name)

    async def put(self, name: str, content: bytes) -> None:
        """Sent."""
        await self._shelf.put(self._owner, name, content)

    async def aside(self, name: str) -> None:
        """Renamed there."""
        await self._shelf.aside(self._owner, name)

    async def all_aside(self) -> None:
        """One after the other, its config first."""
        names = sorted(await self._shelf.names(self._owner), key=lambda name: name != "config")
        for name in names:
            await self._shelf.aside(self._owner, name)


def was_one(folder: Path) -> bool:
    """Whether it is a repository, or what is left of one; else it is somebody else's."""
    return sum((folder / kind).is_dir() for kind in _KINDS) > 1


def as_named(name: str, content: bytes) -> bool:
    """Whether a file holds what its name says."""
    return hashlib.sha256(content).hexdigest() == name.rpartition("/")[2]


def _files(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _is_as_named(path: Path) -> bool:
    if "-tmp-" in path.name:  # restic's own, while it writes
        return True
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == path.name
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno == errno.EIO:  # the disk has lost it
            return False
        raise


def _moved(path: Path, to: Path) -> None:
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    free, number = to, 1
    while os.path.lexists(free):
        free, number = to.with_name(f"{to.name}.{number}"), number + 1
    try:
        path.rename(free)
    except FileNotFoundError:
        return
