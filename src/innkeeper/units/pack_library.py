"""Packs as they are kept on this host: a folder for each version, which never changes; the core's `PackLibrary`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from innkeeper.core.errors import TooLarge
from innkeeper.core.pack_errors import PackDamaged, PackMissing
from innkeeper.core.packs import MANIFEST, Content, Pack, PackFile, pack_of
from innkeeper.units.erase import erase
from innkeeper.units.faults import translated
from innkeeper.units.pack_reading import unpack

_FILES, _TOLD, _UPLOAD, _INCOMING = "files", "pack.json", "upload", ".incoming-"
_CHUNK = 1 << 20
CACHED = 256
_PADDING = 16 << 20


class FolderLibrary:
    """The packs below `root`; `limit_bytes` is the most that one may hold."""

    def __init__(self, root: Path, *, limit_bytes: int) -> None:
        self._root = root
        self._limit = limit_bytes
        self._known: dict[tuple[str, str], Pack] = {}

    @asynccontextmanager
    async def taken(
        self, tar: AsyncIterator[bytes], *, known: Mapping[str, str] | None = None
    ) -> AsyncIterator[TakenPack]:
        """A tarball, unpacked and checked but not yet among the packs."""
        incoming = self._root / f"{_INCOMING}{secrets.token_hex(8)}"
        try:
            await self._receive(tar, incoming)
            pack, files = await asyncio.to_thread(self._unpacked, incoming, known or {})
            yield TakenPack(pack, partial(self._settle, pack, incoming, files))
        finally:
            await asyncio.to_thread(self._erase, incoming)

    @property
    def upload_bytes(self) -> int:
        """The largest tarball that can be of a pack: one that isn't packed has padding after each file."""
        return 2 * self._limit + _PADDING

    async def pack(self, name: str, version: str) -> Pack:
        """One that is kept here."""
        if (name, version) not in self._known:
            pack = await asyncio.to_thread(self._read, name, version)
            if len(self._known) >= CACHED:
                self._known.clear()
            self._known[name, version] = pack
        return self._known[name, version]

    async def drop(self, name: str, version: str) -> None:
        """Remove it."""
        self._known.pop((name, version), None)
        await asyncio.to_thread(self._erase, self._at(name, version))

    def copy(self, pack: Pack, source: str, to: BinaryIO) -> None:
        """Write one of its files to `to`, and raise PackDamaged where that wasn't what was kept."""
        file = pack.by_path[source]
        told = hashlib.sha256()
        try:
            with (self._at(pack.name, pack.version) / _FILES / source).open("rb") as kept:
                while chunk := kept.read(_CHUNK):
                    told.update(chunk)
                    to.write(chunk)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise PackDamaged(f"{source!r} of the pack {pack.name} {pack.version} is gone.") from error
        if told.hexdigest() != file.content.sha256:
            raise PackDamaged(f"{source!r} of the pack {pack.name} {pack.version} isn't what was added.")

    def sweep(self) -> None:
        """Remove what a crash has left half taken in; when nothing is being taken in."""
        for left in self._root.glob(f"{_INCOMING}*"):
            self._erase(left)

    def _at(self, name: str, version: str) -> Path:
        # No pack's own name has an underscore.
        folder = f"_{hashlib.sha256(name.encode()).hexdigest()[:32]}" if ":" in name else name
        return self._root / folder / version

    async def _receive(self, tar: AsyncIterator[bytes], incoming: Path) -> None:
        with translated(incoming):
            await asyncio.to_thread(incoming.mkdir, mode=0o700, parents=True)
            with await asyncio.to_thread((incoming / _UPLOAD).open, "xb") as upload:
                size = 0
                async for chunk in tar:
                    size += len(chunk)
                    if size > self.upload_bytes:
                        raise TooLarge(f"The pack is larger than {self._limit / (1 << 20):.3g} MB.")
                    await asyncio.to_thread(upload.write, chunk)

    def _unpacked(self, incoming: Path, known: Mapping[str, str]) -> tuple[Pack, Path]:
        with translated(incoming):
            into = incoming / _FILES
            into.mkdir(mode=0o700)
            found = unpack(incoming / _UPLOAD, into, limit_bytes=self._limit, strip=bool(known))
            pack = pack_of(found.manifest, found.files, **known)
            if pack.size > self._limit:
                raise TooLarge(f"The pack is larger than {self._limit / (1 << 20):.3g} MB.")
            (incoming / _UPLOAD).unlink()
            ready = incoming / "ready"
            ready.mkdir(mode=0o700)
            found.top.rename(ready / _FILES)
            (ready / _FILES / MANIFEST).unlink(missing_ok=True)
            with (ready / _TOLD).open("xb") as told:
                told.write(_dumped(pack))
                told.flush()
                os.fsync(told.fileno())
            return pack, ready

    async def _settle(self, pack: Pack, incoming: Path, ready: Path) -> None:
        await asyncio.to_thread(self._put, pack, incoming, ready)
        self._known.pop((pack.name, pack.version), None)

    def _put(self, pack: Pack, incoming: Path, ready: Path) -> None:
        """In its place, and what was there out of the way: nobody has recorded that, or it is the same, or damaged."""
        at = self._at(pack.name, pack.version)
        with translated(at):
            at.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                at.rename(incoming / "before")
            ready.rename(at)
            for folder in (at.parent, self._root):
                _sync(folder)

    def _read(self, name: str, version: str) -> Pack:
        at = self._at(name, version)
        try:
            kept = json.loads((at / _TOLD).read_bytes())
            files = [
                PackFile(path=path, content=Content(sha256, bool(executable)), size=size)
                for path, sha256, executable, size in kept["files"]
            ]
            fields = {each: kept[each] for each in ("name", "version", "title", "target")}
            pack = Pack(**fields, files=tuple(files))
        except FileNotFoundError:
            raise PackMissing(f"The pack {name} {version} isn't on this host.") from None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise PackDamaged(f"The pack {name} {version} can't be read: {type(error).__name__}.") from error
        if (pack.name, pack.version, pack.digest) != (name, version, kept.get("digest")):
            raise PackDamaged(f"The pack {name} {version} isn't what was added.")
        return pack

    def _erase(self, folder: Path) -> None:
        with translated(folder), suppress(FileNotFoundError):
            parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                erase(parent, folder.name)
            finally:
                os.close(parent)


class TakenPack:
    """A pack that was taken in, to be put among the others or forgotten."""

    def __init__(self, pack: Pack, settle: Callable[[], Awaitable[None]]) -> None:
        self.pack = pack
        self._settle = settle

    async def settle(self) -> None:
        """Put it among the packs, in place of a version that was never recorded or is damaged."""
        await self._settle()


def _dumped(pack: Pack) -> bytes:
    files = [[file.path, file.content.sha256, file.content.executable, file.size] for file in pack.files]
    told = {"name": pack.name, "version": pack.version, "title": pack.title, "target": pack.target}
    return json.dumps({**told, "digest": pack.digest, "files": files}, ensure_ascii=False).encode()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
