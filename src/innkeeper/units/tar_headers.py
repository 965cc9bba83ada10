"""A tar's members, header by header: ustar, GNU's long names and numbers, and pax (POSIX.1-2001).

Of our own, so that what somebody hostile wrote is bounded before it is read: no header is larger than it has to be, and
what isn't understood is refused by its name instead of being guessed at.
https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html,
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from innkeeper.core.import_errors import ArchiveDamaged, ArchiveRefused

BLOCK = 512
HEADER_MAX_BYTES = 64 << 10
"""Of what a pax header or a long name may hold: a path has 4 KiB at most, and the rest are numbers and attributes."""
_NUL = bytes(BLOCK)
_SPARSE = "GNU.sparse"
_PAX = frozenset({b"path", b"linkpath", b"size", b"mtime"})
"""The rest isn't kept: an archive may have any number of headers, each with names of its own."""


class Kind(StrEnum):
    """What a member is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    HARD_LINK = "hard link"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A member as its header describes it; its name isn't checked yet."""

    name: str
    kind: Kind
    size: int
    mode: int
    mtime: float
    target: str = ""
    """Where a link leads, or which member a hard link is the same as."""


class Bytes(Protocol):
    """Where the headers are read from."""

    def take(self, number: int) -> bytes:
        """Exactly so many bytes; ArchiveDamaged where there are fewer."""
        ...

    def skip(self, number: int) -> None:
        """Go past so many."""
        ...


_REFUSED = {b"3": "a device", b"4": "a device", b"6": "a FIFO", b"7": "a contiguous file", b"S": "a sparse file",
            b"M": "a part of a file on several volumes", b"V": "a volume's label", b"D": "an incremental backup's list",
            b"N": "an old long name"}  # fmt: skip
_KINDS = {b"0": Kind.FILE, b"\0": Kind.FILE, b"5": Kind.FOLDER, b"2": Kind.LINK, b"1": Kind.HARD_LINK}


def members(source: Bytes) -> Iterator[Member]:
    """Every member; between two of them the source stands at the first one's content, and whoever iterates reads it
    all, padding included, before going on."""
    everywhere: dict[str, str] = {}
    here: dict[str, str] = {}
    while (block := source.take(BLOCK)) != _NUL:
        _check_sum(block)
        kind, size = block[156:157], _number(block[124:136])
        if kind in (b"x", b"g", b"L", b"K"):
            content = _content(source, size)
            if kind == b"g":
                everywhere |= _pax(content)
            elif kind == b"x":
                here |= _pax(content)
            else:
                here["path" if kind == b"L" else "linkpath"] = _text(content)
            continue
        yield _member(block, kind, size, {**everywhere, **here})
        here = {}
    # One block of zeros is enough to tell an end from a cut; a header that nothing follows is a cut, too.
    if here:
        raise ArchiveDamaged("The archive ends behind a header that speaks of what comes next.")


def padding(size: int) -> int:
    """How many bytes follow a content of that size."""
    return -size % BLOCK


def _member(block: bytes, kind: bytes, size: int, pax: Mapping[str, str]) -> Member:
    name = pax.get("path") or _name(block)
    if _SPARSE in pax:
        kind = b"S"
    if kind in _REFUSED or kind not in _KINDS:
        what = _REFUSED.get(kind, f"of a kind that isn't known ({kind!r})")
        raise ArchiveRefused(f"{shown(name)} is {what}.")
    is_folder = kind in (b"0", b"\0") and name.endswith("/")  # as tars older than POSIX say it
    its_kind = Kind.FOLDER if is_folder else _KINDS[kind]
    size = _decimal(pax["size"]) if "size" in pax else size
    return Member(
        name=name,
        kind=its_kind,
        # Of all others the number is no content's: pax writes that of a hard link's file there.
        size=size if its_kind is Kind.FILE else 0,
        mode=_number(block[100:108]) & 0o7777,
        mtime=_time(pax["mtime"]) if "mtime" in pax else float(_number(block[136:148])),
        target=pax.get("linkpath") or _text(block[157:257]),
    )


def shown(name: str) -> str:
    """A name out of an archive, fit to be read: it may hold anything."""
    text = ascii(name)
    return text if len(text) <= 120 else f"{text[:120]}…"


def _name(block: bytes) -> str:
    name, prefix = _text(block[0:100]), _text(block[345:500])
    is_ustar = block[257:263] == b"ustar\0"  # GNU's own has other things where POSIX has the prefix
    return f"{prefix}/{name}" if is_ustar and prefix else name


def _text(field: bytes) -> str:
    return os.fsdecode(field.split(b"\0", 1)[0])


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU's base 256
        number = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40 or number >= 1 << 62:
            raise ArchiveDamaged("A header of the archive holds a number that can't be.")
        return number
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    try:
        return int(digits, 8)
    except ValueError:
        raise ArchiveDamaged("A header of the archive holds no number where one belongs.") from None


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ArchiveDamaged("A header of the archive holds a size that can't be.")
    return int(text)


def _time(text: str) -> float:
    try:
        if math.isfinite(time := float(text)):
            return time
    except ValueError:
        pass
    raise ArchiveDamaged("A header of the archive holds a time that can't be.")


def _check_sum(block: bytes) -> None:
    expected = _number(block[148:156])
    if sum(block) - sum(block[148:156]) + 8 * 32 != expected:
        raise ArchiveDamaged("That is no tar, or a damaged one: a header's checksum is wrong.")


def _content(source: Bytes, size: int) -> bytes:
    if size > HEADER_MAX_BYTES:
        raise ArchiveRefused(f"A header of the archive has {size} bytes, and {HEADER_MAX_BYTES} are the most.")
    content = source.take(size)
    source.skip(padding(size))
    return content


def _pax(content: bytes) -> dict[str, str]:
    """`LENGTH KEY=VALUE\\n`, one after another, the length counting itself."""
    found, at = {}, 0
    while at < len(content):
        space = content.find(b" ", at, at + 20)
        digits = content[at:space] if space > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        record = content[space + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if length <= space + 1 - at or at + length > len(content) or not equals or not value.endswith(b"\n"):
            raise ArchiveDamaged("A pax header of the archive doesn't hold.")
        if key in (b"path", b"linkpath") and b"\0" in value:
            raise ArchiveRefused("A name in the archive has a NUL in it.")
        if key.startswith(b"GNU.sparse."):
            found[_SPARSE] = ""
        elif key in _PAX:
            found[os.fsdecode(key)] = os.fsdecode(value[:-1])
        at += length
    return found
