"""What an import reads: a folder on this host or an archive, looked through once and poured out afterwards."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import BinaryIO, Protocol

from innkeeper.core.import_errors import ArchiveRefused, ImportTooLarge, SourceForbidden
from innkeeper.core.unit_limits import IMPORT_DEPTH_MAX
from innkeeper.units.archive import CHUNK, Caps, tar_entries
from innkeeper.units.entry_table import Entries, Entry
from innkeeper.units.pouring import Pouring
from innkeeper.units.safe_tree import read_file
from innkeeper.units.tar_headers import Kind, shown

READ_MAX_BYTES = 1 << 20
"""Of a file that is read to be understood."""
_READ_MORE_BYTES = {"hydration.json": 16 << 20}
"""It has a few lines for each of ten thousand files."""
_READ_IN_ALL_BYTES = 64 << 20
_READ = frozenset({
    ".env", "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml",
    "docker-compose.multi-tenant.yml", "config.json", "openclaw.json", "clawdbot.json", "innkeeper.json",
    "innkeeper.end",
    "hydration.json",
})  # fmt: skip
_VARIABLES = re.compile(r"(?s).*\.env|\.env\..*")
"""What compose's `env_file` calls its files, mostly."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def is_read(name: str) -> bool:
    """Whether importers read files of that name; of an archive these alone are remembered."""
    return name in _READ or _VARIABLES.fullmatch(name) is not None


Place = Callable[[str], str | None]
"""From an entry's path to where it is poured; None: nowhere."""


class Tree(Protocol):
    """Somebody's files, by paths relative to the top."""

    @property
    def name(self) -> str:
        """What it is called where it lies."""
        ...

    @property
    def entries(self) -> Mapping[str, Entry]:
        """By path, in the order in which they were found."""
        ...

    @property
    def left_out(self) -> Mapping[str, str]:
        """What can't be copied, and why: sockets, FIFOs."""
        ...

    def read(self, path: str) -> bytes | None:
        """The content of one of the files that importers read; None where there is none, or it is too large."""
        ...

    def pour(self, into: Pouring, place: Place) -> None:
        """Write every entry that has a place to where it belongs, folders first."""
        ...


class FolderTree:
    """A folder, walked by descriptors; other file systems mounted in it aren't entered."""

    def __init__(self, folder: int, name: str, caps: Caps, *, never: tuple[int, int] | None = None) -> None:
        """`never`: device and inode of a folder that must not be entered, whatever it is mounted as."""
        self.name = name
        self.entries = Entries()
        self.left_out: dict[str, str] = {}
        self._never = never
        self._top = folder
        self._caps = caps
        self._device = os.fstat(folder).st_dev
        self._bytes = 0
        self._inodes: dict[int, str] = {}
        self._walk(folder, "", 0)

    def read(self, path: str) -> bytes | None:
        """Read again each time: it is small."""
        above, _, name = path.rpartition("/")
        if not is_read(name) or path not in self.entries:
            return None
        with self._opened(above) as parent:
            return read_file(parent.fd, name, limit=_most(name))

    def pour(self, into: Pouring, place: Place) -> None:
        """A file that changes meanwhile is told, and taken as it was read."""
        for path, entry in self.entries.items():
            if (target := place(path)) is None:
                continue
            if entry.kind is Kind.HARD_LINK and (there := place(entry.target)) is not None:
                into.put(target, entry, (), same_as=there)
            elif entry.kind in (Kind.FILE, Kind.HARD_LINK):
                into.put(target, entry, self._pieces(path, into))
            elif target:
                into.put(target, entry, ())

    def _walk(self, folder: int, path: str, depth: int) -> None:
        if depth > IMPORT_DEPTH_MAX:
            raise ImportTooLarge(f"{shown(path)} lies more than {IMPORT_DEPTH_MAX} folders deep.")
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found)
        for name in names:
            self._look(folder, name, f"{path}/{name}" if path else name, depth)

    def _look(self, folder: int, name: str, path: str, depth: int) -> None:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if len(self.entries) >= self._caps.entries:
            raise self._caps.too_many()
        if found.st_dev != self._device:
            raise ArchiveRefused(
                f"Another file system is mounted at {shown(path)}.", hint="Import from a copy that has all of it."
            )
        if (found.st_dev, found.st_ino) == self._never:
            raise SourceForbidden(f"{shown(path)} is the data directory of this control plane.")
        mode = stat.S_IMODE(found.st_mode) & 0o777
        if stat.S_ISDIR(found.st_mode):
            self.entries.put(Entry(path=path, kind=Kind.FOLDER, mode=mode))
            below = os.open(name, _FOLDER, dir_fd=folder)
            try:
                self._walk(below, path, depth + 1)
            finally:
                os.close(below)
        elif stat.S_ISREG(found.st_mode):
            self._add_file(path, found, mode)
        elif stat.S_ISLNK(found.st_mode):
            target = os.readlink(name, dir_fd=folder)
            self.entries.put(Entry(path=path, kind=Kind.LINK, target=target))
        elif stat.S_ISSOCK(found.st_mode) or stat.S_ISFIFO(found.st_mode):
            self.left_out[path] = "a socket or FIFO holds no data"
        else:
            raise ArchiveRefused(f"{shown(path)} is a device.")

    def _add_file(self, path: str, found: os.stat_result, mode: int) -> None:
        first = self._inodes.setdefault(found.st_ino, path) if found.st_nlink > 1 else path
        kind = Kind.FILE if first == path else Kind.HARD_LINK
        self._bytes += found.st_size if kind is Kind.FILE else 0
        if self._bytes > self._caps.bytes:
            raise self._caps.too_much()
        self.entries.put(
            Entry(
                path=path,
                kind=kind,
                size=found.st_size,
                mode=mode,
                mtime=found.st_mtime,
                target="" if first == path else first,
            )
        )

    def _pieces(self, path: str, into: Pouring) -> Iterator[bytes]:
        above, _, name = path.rpartition("/")
        try:
            with self._opened(above) as parent:
                descriptor = os.open(name, _FILE, dir_fd=parent.fd)
        except FileNotFoundError:
            into.poured.changed.append(path)
            return
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise ArchiveRefused(f"{shown(path)} became something else while it was read.")
            while piece := file.read(CHUNK):
                if into.poured.bytes > self._caps.bytes:
                    raise self._caps.too_much()
                yield piece
            after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            into.poured.changed.append(path)

    def _opened(self, path: str) -> _Opened:
        return _Opened(self._top, path)


class _Opened:
    """A folder below another, opened name by name and closed again."""

    def __init__(self, top: int, path: str) -> None:
        self.fd = os.dup(top)
        try:
            for name in path.split("/") if path else ():
                below = os.open(name, _FOLDER, dir_fd=self.fd)
                os.close(self.fd)
                self.fd = below
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


class TarTree:
    """An archive; read to its end before anything of it is believed, and once more when it is poured out."""

    def __init__(self, file: BinaryIO, name: str, caps: Caps) -> None:
        self.name = name
        self.entries = Entries()
        self.left_out: dict[str, str] = {}
        self._file = file
        self.members, self.last = 0, ""
        """How many there are, and which is the last."""
        self._caps = caps
        self._contents: dict[str, bytes] = {}
        file.seek(0)
        room = _READ_IN_ALL_BYTES
        for entry, content in tar_entries(file, caps, self.entries):
            self.members += 1
            self.last = entry.path
            name = entry.path.rpartition("/")[2]
            if is_read(name) and entry.kind is Kind.FILE and entry.size <= _most(name):
                room -= entry.size
                if room < 0:
                    raise ImportTooLarge("There are too many config files in the archive.")
                self._contents[entry.path] = b"".join(content())

    def read(self, path: str) -> bytes | None:
        """As it was remembered."""
        return self._contents.get(path)

    def pour(self, into: Pouring, place: Place) -> None:
        """In the archive's own order: a hard link comes behind its file."""
        self._file.seek(0)
        for entry, content in tar_entries(self._file, self._caps):
            if self.entries.get(entry.path) != entry:
                raise ArchiveRefused("The archive changed while it was read.")
            if not (target := place(entry.path)):
                continue
            if entry.kind is not Kind.HARD_LINK:
                into.put(target, entry, content())
            elif (there := place(entry.target)) is not None:
                into.put(target, entry, (), same_as=there)
            else:
                raise ArchiveRefused(f"{shown(entry.path)} is a hard link to a file that isn't taken.")


class JoinedTree:
    """A tree with others hung into it, each under a path of its own."""

    def __init__(self, tree: Tree, others: Mapping[str, Tree]) -> None:
        self.name = tree.name
        self._trees = {"": tree, **others}
        self.entries = Entries()
        self.left_out: dict[str, str] = {}
        for top, each in self._trees.items():
            if top:
                self.entries.put(Entry(path=top, kind=Kind.FOLDER, mode=0o700))
            for path, entry in each.entries.items():
                target = _join(top, entry.target) if entry.kind is Kind.HARD_LINK else entry.target
                self.entries.put(replace(entry, path=_join(top, path), target=target))
            self.left_out |= {_join(top, path): why for path, why in each.left_out.items()}

    def read(self, path: str) -> bytes | None:
        """Of whichever tree it is."""
        top = next((top for top in self._trees if top and path.startswith(f"{top}/")), "")
        return self._trees[top].read(path[len(top) :].lstrip("/"))

    def pour(self, into: Pouring, place: Place) -> None:
        """One tree after the other."""
        for top, each in self._trees.items():
            each.pour(into, partial(_placed_below, place, top))


def _placed_below(place: Place, top: str, path: str) -> str | None:
    return place(_join(top, path))


def _join(top: str, path: str) -> str:
    return f"{top}/{path}" if top and path else top or path


def _most(name: str) -> int:
    return _READ_MORE_BYTES.get(name, READ_MAX_BYTES)
