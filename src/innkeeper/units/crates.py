"""Packing units: each in a crate, a folder named by its operation, from a copy of its data to the file it becomes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

from innkeeper.core.errors import UnitFault
from innkeeper.core.ids import is_id
from innkeeper.core.ports.exports import Copied, Lock, Packed, PackingList
from innkeeper.core.tenant import check_name
from innkeeper.units.compose import keep_settings, without_secrets
from innkeeper.units.concealing import conceal
from innkeeper.units.erase import erase
from innkeeper.units.faults import translated
from innkeeper.units.layout import COMPOSE, ENV, PERSISTENCE, READ_LIMIT_BYTES
from innkeeper.units.locks import locked, recipients_of
from innkeeper.units.mirror import Mark, Stopped, mirror
from innkeeper.units.pack_tar import Tarring
from innkeeper.units.safe_tree import folder, read_file

FACTS, IMAGE, FILES = "innkeeper.json", "image.tar", "files"
DELIVERED = "hydration.json"
"""Which content was delivered to it, so that it is known elsewhere, too."""
_DELIVERED_LIMIT_BYTES = 64 << 20
_TREE, _PART = "tree", "part"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DONE = (".tar", ".tar.age")


class FolderCrates:
    """The core's `Crates` on a local file system, below `root`."""

    def __init__(self, root: Path, units: Path, *, owner_uid: int = 1000) -> None:
        self._root = root
        self._units = units
        self._owner_uid = owner_uid
        self._marks: dict[str, Mark] = {}
        self._copying: dict[str, asyncio.Future[Any]] = {}

    def check(self, lock: Lock) -> None:
        """Raise Invalid for recipients that are none."""
        recipients_of(lock.recipients)

    async def empty(self, crate: str) -> None:
        """Make it, with nothing inside."""
        await self.discard(crate)
        with translated(self._path(crate)):
            await asyncio.to_thread(self._make, crate)

    async def copy(self, crate: str, tenant: str, *, leave_out: Sequence[str]) -> Copied:
        """Bring the unit's data into it; a second time, what changed since."""
        return await self._brought(crate, partial(self._copy, crate, check_name(tenant), leave_out))

    async def fill(self, crate: str, folder: Path) -> Copied:
        """Bring a folder into it."""
        return await self._brought(crate, partial(self._fill, crate, folder))

    async def _brought(self, crate: str, copy: Callable[[Event], Mark]) -> Copied:
        await self._until_idle(crate)
        unwanted = Event()
        # A thread can't be cancelled: it is told, and whoever copies into the same crate next waits for its end.
        copying = asyncio.ensure_future(asyncio.to_thread(copy, unwanted))
        self._copying[crate] = copying
        try:
            mark = await asyncio.shield(copying)
        except asyncio.CancelledError:
            unwanted.set()
            copying.add_done_callback(_nobody_asks)
            raise
        self._marks[crate] = mark
        return Copied(
            files=len(mark.files),
            bytes=mark.bytes,
            copied_files=mark.copied,
            copied_bytes=mark.copied_bytes,
            left_out=mark.left_out,
            changed=mark.changed,
        )

    async def put_image(self, crate: str, pieces: AsyncIterator[bytes]) -> int:
        """Put a saved image in; its bytes."""
        path = self._path(crate) / IMAGE
        size = 0
        with translated(path):
            file = await asyncio.to_thread(_new_file, path)
            try:
                async for piece in pieces:
                    size += await asyncio.to_thread(file.write, piece)
            finally:
                await asyncio.to_thread(file.close)
        return size

    async def pack(
        self, crate: str, tenant: str, packing: PackingList, *, at: datetime, on_bytes: Callable[[int], object]
    ) -> Packed:
        """Make the one file of it, and drop what it was made from."""
        await self._until_idle(crate)
        unwanted = Event()

        def still_wanted(written: int) -> None:
            if unwanted.is_set():
                raise Stopped
            on_bytes(written)

        packed = asyncio.ensure_future(
            asyncio.to_thread(self._pack, crate, check_name(tenant), packing, at, still_wanted)
        )
        self._copying[crate] = packed
        try:
            return await asyncio.shield(packed)
        except asyncio.CancelledError:
            unwanted.set()
            packed.add_done_callback(_nobody_asks)
            raise

    async def file(self, crate: str) -> Path | None:
        """The file, if it is there."""
        if not is_id("op", crate):
            return None
        found = await asyncio.to_thread(lambda: [each for each in _within(self._path(crate)) if each.endswith(_DONE)])
        return self._path(crate) / found[0] if found else None

    async def discard(self, crate: str) -> None:
        """Away with it; one that isn't there is fine."""
        await self._until_idle(crate)
        self._marks.pop(crate, None)
        with translated(self._path(crate)):
            await asyncio.to_thread(self._discard, crate)

    async def all(self) -> Sequence[str]:
        """Every crate that there is."""
        return [name for name in await asyncio.to_thread(_within, self._root) if is_id("op", name)]

    def _path(self, crate: str) -> Path:
        if not is_id("op", crate):
            raise UnitFault(f"{crate[:60]!r} is no operation's id.")
        return self._root / crate

    async def _until_idle(self, crate: str) -> None:
        if (busy := self._copying.pop(crate, None)) is not None and not busy.done():
            await asyncio.wait([busy])

    def _make(self, crate: str) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._path(crate) / _TREE).mkdir(mode=0o700, parents=True)
        self._path(crate).chmod(0o700)

    def _discard(self, crate: str) -> None:
        with suppress(FileNotFoundError), _opened(self._root) as root:
            erase(root, crate)

    def _copy(self, crate: str, tenant: str, leave_out: Sequence[str], unwanted: Event) -> Mark:
        tree = self._path(crate) / _TREE
        with (
            translated(self._units / tenant),
            _opened(self._units) as units,
            folder(units, [tenant, PERSISTENCE]) as source,
            _opened(tree) as target,
        ):
            since = self._marks.pop(crate, None)
            return mirror(source, target, since=since, leave_out=leave_out, wanted=lambda: not unwanted.is_set())

    def _fill(self, crate: str, data: Path, unwanted: Event) -> Mark:
        with translated(data), _opened(self._path(crate) / _TREE) as target:
            source = os.open(data, _FOLDER)
            try:
                return mirror(source, target, wanted=lambda: not unwanted.is_set())
            finally:
                os.close(source)

    def _pack(
        self, crate: str, tenant: str, packing: PackingList, at: datetime, on_bytes: Callable[[int], object]
    ) -> Packed:
        here = self._path(crate)
        with translated(here), _opened(here) as top, folder(top, [_TREE]) as tree:
            conceal(tree, packing.config_paths, packing.conceal)
            with suppress(FileNotFoundError):
                os.unlink(_PART, dir_fd=top)
            with _new_file(here / _PART) as file:
                out = _Hashed(file)
                with locked(out, packing.lock) as writer:
                    tarring = Tarring(writer, tenant, at=int(at.timestamp()), on_bytes=on_bytes)
                    self._put_all(tarring, tenant, packing, top, tree)
                    tarring.end()
                file.flush()
                os.fsync(file.fileno())
            called = f"{tenant}-{packing.called}" if packing.called else tenant
            name = f"{called}-{at:%Y%m%d-%H%M%S}{_DONE[packing.lock.locked]}"
            os.rename(_PART, name, src_dir_fd=top, dst_dir_fd=top)
            with suppress(FileNotFoundError):
                os.unlink(IMAGE, dir_fd=top)
            erase(top, _TREE)
            os.fsync(top)
        return Packed(name=name, bytes=out.written, sha256=out.digest())

    def _put_all(self, tarring: Tarring, tenant: str, packing: PackingList, top: int, tree: int) -> None:
        tarring.folder("")
        if packing.documents:
            self._put_documents(tarring, packing, tree)
            return
        if packing.data_alone:
            tarring.tree(tree, PERSISTENCE, owner=self._owner_uid)
            return
        tarring.file(FACTS, json.dumps(packing.facts, indent=2).encode() + b"\n")
        tarring.file(COMPOSE, packing.compose.encode())
        tarring.file(ENV, self._env(tenant, packing).encode())
        if (delivered := self._delivered(tenant)) is not None:
            tarring.file(DELIVERED, delivered)
        tarring.tree(tree, PERSISTENCE, owner=self._owner_uid)
        with suppress(FileNotFoundError), os.fdopen(os.open(IMAGE, os.O_RDONLY, dir_fd=top), "rb") as image:
            tarring.stream(IMAGE, image, os.fstat(image.fileno()).st_size)

    def _delivered(self, tenant: str) -> bytes | None:
        with _opened(self._units) as units, folder(units, [tenant]) as unit:
            return read_file(unit, DELIVERED, limit=_DELIVERED_LIMIT_BYTES)

    def _put_documents(self, tarring: Tarring, packing: PackingList, tree: int) -> None:
        for above in sorted({path.partition("/")[0] for path in packing.documents if "/" in path}):
            tarring.folder(above)
        for path, content in packing.documents.items():
            tarring.file(path, content)
        tarring.tree(tree, FILES, owner=self._owner_uid)

    def _env(self, tenant: str, packing: PackingList) -> str:
        with _opened(self._units) as units, folder(units, [tenant]) as unit:
            before = (read_file(unit, ENV, limit=READ_LIMIT_BYTES) or b"").decode(errors="replace")
        kept = keep_settings(packing.env, before)
        return kept if packing.secret_settings else without_secrets(kept)


class _Hashed:
    """Knows what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.written = 0

    def write(self, data: bytes, /) -> int:
        self._file.write(data)
        self._hash.update(data)
        self.written += len(data)
        return len(data)

    def digest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, _FOLDER & ~os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _new_file(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, _NEW, 0o600), "wb", buffering=1 << 20)


def _within(path: Path) -> list[str]:
    try:
        return sorted(each.name for each in path.iterdir())
    except FileNotFoundError:
        return []


def _nobody_asks(ended: asyncio.Future[Any]) -> None:
    """What became of what nobody waits for any more."""
    if not ended.cancelled():
        ended.exception()
