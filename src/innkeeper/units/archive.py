"""Reading a tar that somebody else wrote: streamed, bounded, and nothing in it trusted.

Regular files and folders are taken, links inside of it as the text that they are, and hard links to files that came
before. Everything else, and every name that leads out, is refused by name before anything of it is written. What the
bounds are for: millions of entries keep whoever lists them busy for minutes, and a bomb fills the disk.
"""

from __future__ import annotations

import bz2
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from innkeeper.core.errors import Problem
from innkeeper.core.import_errors import ArchiveDamaged, ArchiveRefused, ImportTooLarge, SourceMissing
from innkeeper.core.unit_limits import IMPORT_DEPTH_MAX, IMPORT_ENTRIES_MAX, IMPORT_PATH_MAX_BYTES, LINK_MAX_BYTES
from innkeeper.units.entry_table import Entries, Entry
from innkeeper.units.tar_headers import Kind, Member, members, padding, shown

CHUNK = 256 << 10
NAME_MAX_BYTES = 255
HEADERS_BYTES = 8 << 10
"""Of an entry on an average: its own, and perhaps one with a name of 4 KiB and where it leads."""
RATIO_FROM_BYTES = 64 << 20
"""Below that much a high ratio is no bomb: an empty database of 4 MiB packs a thousandfold."""
_OTHERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"age-encryption.org": "age"}


@dataclass(frozen=True, kw_only=True)
class Caps:
    """How much a source may hold."""

    entries: int = IMPORT_ENTRIES_MAX
    bytes: int = 200 << 30
    ratio: int = 300
    """How many bytes one packed byte may become."""

    @property
    def plain_bytes(self) -> int:
        """All of an archive unpacked: headers and padding, too."""
        return self.bytes + HEADERS_BYTES * self.entries + (1 << 20)

    def too_many(self) -> Problem:
        """More entries than may be."""
        return ImportTooLarge(
            f"There are more than {self.entries} files and folders in it.",
            hint="Leave caches out, or raise INNKEEPER_IMPORT_ENTRIES_MAX.",
        )

    def too_much(self) -> Problem:
        """More bytes than may be."""
        return ImportTooLarge(
            f"It holds more than {self.bytes >> 30} GB.",
            hint="Leave out what isn't needed, or raise INNKEEPER_IMPORT_GB_MAX.",
        )


class Content(Protocol):
    """A file's bytes, in pieces."""

    def __call__(self) -> Iterator[bytes]: ...


def tar_entries(file: BinaryIO, caps: Caps, seen: Entries | None = None) -> Iterator[tuple[Entry, Content]]:
    """Every entry with its content, which is read before the next one is asked for, or passed over.

    They are kept in `seen`, together with the folders above them, which an archive need not hold.
    Raises ArchiveDamaged, ArchiveRefused, ImportTooLarge.
    """
    source = _Unpacked(file, caps)
    names = _Names(caps, Entries() if seen is None else seen)
    for member in members(source):
        entry = names.checked(member)
        left = _Left(source, member.size)
        if entry is not None:
            yield entry, left.pieces
        left.rest()
    source.finish()


class _Names:
    """Knows which names came before."""

    def __init__(self, caps: Caps, seen: Entries) -> None:
        self._caps = caps
        self._seen = seen
        self._above = ""
        """The folder of the one before, which needn't be looked for again."""
        self._bytes = 0

    def checked(self, member: Member) -> Entry | None:
        """The member as an entry; None for the folder that everything lies in."""
        path = clean_path(member.name)
        if not path:
            if member.kind is Kind.FOLDER:
                return None
            raise ArchiveRefused(f"{shown(member.name)} has no name of its own.")
        self._bytes += member.size
        if self._bytes > self._caps.bytes:
            raise self._caps.too_much()
        self._check_above(path)
        entry = Entry(
            path=path,
            kind=member.kind,
            size=member.size,
            mode=member.mode & 0o777,
            mtime=member.mtime,
            target=self._target(path, member),
        )
        if not self._seen.add(entry):
            if (self._seen[path].kind, entry.kind) != (Kind.FOLDER, Kind.FOLDER):
                raise ArchiveRefused(f"{shown(path)} is in the archive twice.")
            self._seen.put(entry)
        if len(self._seen) > self._caps.entries:
            raise self._caps.too_many()
        return entry

    def _check_above(self, path: str) -> None:
        above = folder = path.rpartition("/")[0]
        if folder == self._above:
            return
        while above and (its := self._seen.get(above)) is None:
            self._seen.add(Entry(path=above, kind=Kind.FOLDER, mode=0o700))
            above = above.rpartition("/")[0]
        if above and its is not None and its.kind is not Kind.FOLDER:
            raise ArchiveRefused(f"{shown(path)} lies below {shown(above)}, which is a {its.kind}.")
        self._above = folder  # what is above that was looked at when it came

    def _target(self, path: str, member: Member) -> str:
        if member.kind is Kind.LINK:
            return checked_target(path, member.target)
        if member.kind is not Kind.HARD_LINK:
            return ""
        target = clean_path(member.target)
        there = self._seen.get(target)
        if there is None or there.kind not in (Kind.FILE, Kind.HARD_LINK) or target == path:
            raise ArchiveRefused(f"{shown(path)} is a hard link to {shown(target)}, which is no file before it.")
        return target


def clean_path(name: str) -> str:
    """A name as a path; "" for `.`; ArchiveRefused for one that leads out or couldn't be written."""
    if name.startswith("/"):
        raise ArchiveRefused(f"{shown(name)} is an absolute name.")
    if "\0" in name:
        raise ArchiveRefused(f"{shown(name)} has a NUL in it.")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveRefused(f"{shown(name)} leads out of the archive.")
    path = "/".join(parts)
    if len(os.fsencode(path)) > IMPORT_PATH_MAX_BYTES or any(len(os.fsencode(part)) > NAME_MAX_BYTES for part in parts):
        raise ArchiveRefused(f"{shown(name)} is too long a name.")
    if len(parts) > IMPORT_DEPTH_MAX:
        raise ArchiveRefused(f"{shown(name)} lies more than {IMPORT_DEPTH_MAX} folders deep.")
    return path


def checked_target(path: str, target: str) -> str:
    """Where a link leads, which is kept as text and never followed by us."""
    if not target or "\0" in target or len(os.fsencode(target)) > LINK_MAX_BYTES:
        raise ArchiveRefused(f"{shown(path)} is a link that leads nowhere.")
    return target


def open_archive(path: Path | str, *, folder: int | None = None) -> BinaryIO:
    """The file at that path, which is a regular one and no link; SourceMissing."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, dir_fd=folder)
    except OSError as error:
        raise SourceMissing(f"{path} can't be opened: {os.strerror(error.errno or 0)}.") from error
    return os.fdopen(descriptor, "rb")


class _Unpacked:
    """The archive's bytes, unpacked on the way and counted on both sides."""

    def __init__(self, file: BinaryIO, caps: Caps) -> None:
        self._file = file
        self._caps = caps
        self._packed = self._plain = 0
        self._buffer = bytearray()
        self._ended = False
        head = self._read_packed()
        for magic, name in _OTHERS.items():
            if head.startswith(magic):
                raise ArchiveDamaged(f"That is {name}, which isn't unpacked here.", hint=_HOW.get(name, _UNPACK))
        if not head:
            raise ArchiveDamaged("The file is empty.")
        self._unpack = _unpacker(head)
        self._feed(head)

    def take(self, number: int) -> bytes:
        """Exactly so many bytes."""
        self._fill(number)
        if len(self._buffer) < number:
            raise _cut()
        taken = bytes(self._buffer[:number])
        del self._buffer[:number]
        return taken

    def piece(self, most: int) -> bytes:
        """Some bytes, at least one."""
        self._fill(1)
        if not self._buffer:
            raise _cut()
        return self.take(min(most, len(self._buffer)))

    def skip(self, number: int) -> None:
        """Go past so many."""
        while number > 0:
            number -= len(self.piece(min(number, CHUNK)))

    def finish(self) -> None:
        """Read what is behind the end: the packed stream's own checksum comes last."""
        while not self._ended:
            self._buffer.clear()
            self._fill(1)

    def _fill(self, number: int) -> None:
        while len(self._buffer) < number and not self._ended:
            packed = b"" if self._unpack.has_more else self._read_packed()
            if not packed and not self._unpack.has_more:
                if not self._unpack.is_whole:
                    raise _cut()
                self._ended = True
                return
            self._feed(packed)

    def _feed(self, packed: bytes) -> None:
        try:
            plain = self._unpack(packed)
        except (zlib.error, OSError, EOFError) as error:
            raise ArchiveDamaged(f"The archive doesn't unpack: {error}.") from error
        self._plain += len(plain)
        if self._plain > self._caps.plain_bytes:
            raise self._caps.too_much()
        if self._plain > max(RATIO_FROM_BYTES, self._packed * self._caps.ratio):
            raise ImportTooLarge(
                f"The archive unpacks to more than {self._caps.ratio} times its size: that is a bomb, or a file that "
                "is nearly empty.",
                hint="Unpack it yourself and import the folder, if you know what it is.",
            )
        self._buffer += plain

    def _read_packed(self) -> bytes:
        packed = self._file.read(CHUNK // 4)
        self._packed += len(packed)
        return packed


_UNPACK = "Unpack it yourself: tar, tar.gz and tar.bz2 are read."
_HOW = {"age": "It is encrypted: `innkeeper unit import FILE --identity KEYFILE`, or without it for a passphrase."}


def _cut() -> ArchiveDamaged:
    return ArchiveDamaged("The archive ends in the middle: it was cut off.")


class _Left:
    """What of a member's content wasn't read yet."""

    def __init__(self, source: _Unpacked, size: int) -> None:
        self._source = source
        self._left = size
        self._padding = padding(size)

    def pieces(self) -> Iterator[bytes]:
        while self._left:
            piece = self._source.piece(min(self._left, CHUNK))
            self._left -= len(piece)
            yield piece

    def rest(self) -> None:
        self._source.skip(self._left + self._padding)
        self._left = self._padding = 0


class _Unpacker(Protocol):
    """Unpacks at most some chunks at a time, however much a piece would become."""

    @property
    def has_more(self) -> bool: ...
    @property
    def is_whole(self) -> bool: ...
    def __call__(self, packed: bytes) -> bytes: ...


def _unpacker(head: bytes) -> _Unpacker:
    if head.startswith(b"\x1f\x8b"):
        return _Gzip()
    return _Bzip2() if head.startswith(b"BZh") else _Plain()


class _Plain:
    has_more, is_whole = False, True

    def __call__(self, packed: bytes) -> bytes:
        return packed


class _Gzip:
    """One or more gzip members, one behind the other; zeros behind the last one are a tape's."""

    def __init__(self) -> None:
        self._one = zlib.decompressobj(wbits=31)
        self._waiting = b""
        self._is_full = False

    @property
    def has_more(self) -> bool:
        return bool(self._waiting) or self._is_full

    @property
    def is_whole(self) -> bool:
        return self._one.eof

    def __call__(self, packed: bytes) -> bytes:
        waiting = self._waiting + packed
        if self._one.eof:
            waiting = waiting.lstrip(b"\0")
            if not waiting:
                self._waiting = b""
                return b""
            self._one = zlib.decompressobj(wbits=31)
        plain = self._one.decompress(waiting, CHUNK)
        self._waiting = self._one.unconsumed_tail or self._one.unused_data
        self._is_full = len(plain) == CHUNK  # there may be more of it inside, though all input was taken
        return plain


class _Bzip2:
    def __init__(self) -> None:
        self._one = bz2.BZ2Decompressor()
        self._waiting = b""

    @property
    def has_more(self) -> bool:
        return bool(self._waiting) or not (self._one.eof or self._one.needs_input)

    @property
    def is_whole(self) -> bool:
        return self._one.eof

    def __call__(self, packed: bytes) -> bytes:
        waiting = self._waiting + packed
        if self._one.eof:
            self._one = bz2.BZ2Decompressor()
        plain = self._one.decompress(waiting, CHUNK)
        self._waiting = self._one.unused_data
        return plain
