"""Reading a pack out of a tarball that may mean harm: regular files and folders alone, counted and measured."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from innkeeper.core.errors import Problem, TooLarge
from innkeeper.core.import_errors import ArchiveDamaged, ArchiveRefused
from innkeeper.core.pack_errors import InvalidPack
from innkeeper.core.packs import FILE_MAX_BYTES, FILES_MAX, MANIFEST, Content, PackFile, checked_path
from innkeeper.units.archive import Caps, tar_entries
from innkeeper.units.entry_table import Entry
from innkeeper.units.pouring import sync_disk
from innkeeper.units.tar_headers import Kind

MANIFEST_MAX_BYTES = 64 << 10
_ENTRIES_MAX = 2 * FILES_MAX


@dataclass(frozen=True, kw_only=True)
class PackCaps(Caps):
    """How much a pack may hold."""

    entries: int = _ENTRIES_MAX

    def too_many(self) -> Problem:
        """More entries than may be."""
        return InvalidPack(f"A pack can't have more than {FILES_MAX} files.")

    def too_much(self) -> Problem:
        """More bytes than may be."""
        return TooLarge(f"The pack is larger than {self.bytes / (1 << 20):.3g} MB.")


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
    with tarball.open("rb") as file:
        try:
            files = _read(file, into, PackCaps(bytes=limit_bytes))
        except ArchiveDamaged as error:
            raise InvalidPack(f"It isn't a tarball, or a broken one: {error.message}") from error
        except ArchiveRefused as error:
            raise InvalidPack(error.message) from error
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


def _read(file: BinaryIO, into: Path, caps: Caps) -> list[PackFile]:
    files: list[PackFile] = []
    for entry, content in tar_entries(file, caps):
        checked_path(entry.path)
        if entry.kind is Kind.FOLDER:
            continue
        if entry.kind is not Kind.FILE:
            raise InvalidPack(f"{entry.path!r:.200} is no plain file: a pack has files and folders alone.")
        if entry.size > FILE_MAX_BYTES:
            raise TooLarge(f"{entry.path!r:.200} is larger than {FILE_MAX_BYTES >> 20} MB.")
        if len(files) >= FILES_MAX + 1:  # the manifest is no file of it
            raise caps.too_many()
        files.append(_kept(into, entry, content()))
    folder = os.open(into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_disk(folder)
    finally:
        os.close(folder)
    return files


def _kept(into: Path, entry: Entry, pieces: Iterable[bytes]) -> PackFile:
    at = into / entry.path  # checked, named once, and in a folder of ours that holds no link
    told = hashlib.sha256()
    at.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with at.open("xb") as file:
        for piece in pieces:
            file.write(piece)
            told.update(piece)
    return PackFile(path=entry.path, content=Content(told.hexdigest(), bool(entry.mode & 0o100)), size=entry.size)


def _manifest(at: Path) -> Mapping[str, Any]:
    try:
        if at.stat().st_size > MANIFEST_MAX_BYTES:
            raise InvalidPack(f"{MANIFEST} is too large.")
        return tomllib.loads(at.read_bytes().decode())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidPack(f"{MANIFEST} isn't TOML: {error}.") from error
