"""Reading a pack out of a tarball that may mean harm: regular files and folders alone, counted and measured."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from innkeeper.core.errors import TooLarge
from innkeeper.core.pack_errors import InvalidPack
from innkeeper.core.packs import FILE_MAX_BYTES, FILES_MAX, MANIFEST, Content, PackFile, checked_path

MANIFEST_MAX_BYTES = 64 << 10
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
_ENTRIES_MAX = 2 * FILES_MAX
_BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError, OverflowError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """What a tarball held."""

    top: Path
    """The folder that its files lie in."""
    manifest: Mapping[str, Any]
    files: tuple[PackFile, ...]


def unpack(tarball: Path, into: Path, *, limit_bytes: int, strip: bool = False) -> Unpacked:
    """Unpack it into the empty folder `into`; raises InvalidPack, TooLarge.

    What lies in one folder together with its manifest is taken out of that; with `strip`, whatever lies in one.
    """
    with tarball.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
        try:
            files = _read(_Measured(stream, limit_bytes), into)
        except _BROKEN as error:
            raise InvalidPack(f"It isn't a tarball, or a broken one: {error}.") from error
    tops = {file.path.partition("/")[0] for file in files}
    inside = len(tops) == 1 and MANIFEST not in tops and any("/" in file.path for file in files)
    prefix = f"{tops.pop()}/" if inside else ""
    if prefix and not strip and all(file.path != prefix + MANIFEST for file in files):
        prefix = ""
    kept = [_below(prefix, file) for file in files]
    top = into / prefix if prefix else into
    return Unpacked(
        top=top,
        manifest=_manifest(top / MANIFEST),
        files=tuple(file for file in kept if file.path != MANIFEST),
    )


def _below(prefix: str, file: PackFile) -> PackFile:
    return PackFile(path=file.path.removeprefix(prefix), content=file.content, size=file.size)


class _Measured:
    """A stream that ends with TooLarge: whatever is packed into little."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        # Headers and padding: three blocks of 512 bytes for each entry, and the end's.
        self._left = limit + 3 * 512 * _ENTRIES_MAX + (1 << 20)

    def read(self, size: int) -> bytes:
        """The next bytes."""
        chunk = self._stream.read(min(size, self._left + 1))
        self._left -= len(chunk)
        if self._left < 0:
            raise TooLarge(f"The pack is larger than {self._limit / (1 << 20):.3g} MB.")
        return chunk


def _read(stream: _Measured, into: Path) -> list[PackFile]:
    files: list[PackFile] = []
    entries = 0
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", errorlevel=2) as tar:
        while (member := tar.next()) is not None:
            entries += 1
            tar.members.clear()  # type: ignore[attr-defined] # it would keep them all
            path = member.name.removeprefix("./").rstrip("/")
            if entries > _ENTRIES_MAX or len(files) > FILES_MAX:
                raise InvalidPack(f"A pack can't have more than {FILES_MAX} files.")
            if member.isdir() and path in ("", "."):
                continue
            checked_path(path)
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise InvalidPack(f"{path!r:.200} is no plain file: a pack has files and folders alone.")
            content = tar.extractfile(member)
            if content is None or member.size > FILE_MAX_BYTES:
                raise TooLarge(f"{path!r:.200} is larger than {FILE_MAX_BYTES >> 20} MB.")
            files.append(_kept(into, path, content, executable=bool(member.mode & 0o100)))
    return files


def _kept(into: Path, path: str, content: IO[bytes], *, executable: bool) -> PackFile:
    at = into / path  # checked, and in a folder of ours that holds no link
    told, size = hashlib.sha256(), 0
    try:
        at.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with at.open("xb") as file:
            while chunk := content.read(_CHUNK):
                size += file.write(chunk)
                told.update(chunk)
            file.flush()
            os.fsync(file.fileno())
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InvalidPack(f"{path!r:.200} is in it twice, or is a file and a folder.") from error
    return PackFile(path=path, content=Content(told.hexdigest(), executable), size=size)


def _manifest(at: Path) -> Mapping[str, Any]:
    try:
        if at.stat().st_size > MANIFEST_MAX_BYTES:
            raise InvalidPack(f"{MANIFEST} is too large.")
        return tomllib.loads(at.read_bytes().decode())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidPack(f"{MANIFEST} isn't TOML: {error}.") from error
