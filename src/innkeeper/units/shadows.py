"""Shadows: what a snapshot is taken of, so that its tenant is frozen only while what it has just written is copied.

restic doesn't read a file whose size and mtime are those that its parent snapshot has for it. So of everything that
wasn't written since the parent a placeholder is enough: an empty file of that size and mtime, with the owner, mode and
attributes of the real one. What was written is there as a copy. A copy's mtime is moved by some nanoseconds, so that it
can't be taken for what the parent has; the summary then has to tell exactly the placeholders as unmodified.
"""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EINVAL, ENOSYS, ENXIO, EOPNOTSUPP, EXDEV
from fcntl import ioctl
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG

from innkeeper.core.ports.stills import TooMuch
from innkeeper.units.marks import Entry, FolderMark

MOVED_NS = 999
"""A copy's mtime is moved by so many nanoseconds at the most: nobody can tell which."""
SQLITE = b"SQLite format 3\0"
"""How every database begins (https://www.sqlite.org/fileformat2.html#the_database_header)."""
_FICLONE = 0x40049409
"""linux/fs.h: share the blocks of another file."""
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 8 << 20
_NO_CLONES = (EOPNOTSUPP, EINVAL, EXDEV, ENOSYS)


@dataclass(kw_only=True)
class Copies:
    """Copies what was written, while its tenant is frozen: flat, by numbers, for making folders takes time."""

    folder: int
    """A descriptor of where they go."""
    bytes_max: int
    stop: threading.Event
    numbers: dict[str, int] = field(default_factory=dict)
    """By path."""
    size: int = 0
    _by_inode: dict[int, int] = field(default_factory=dict)
    _clones: bool = True
    _ranges: bool = True

    def take(self, folder: int, name: str, path: str, entry: Entry) -> None:
        """Copy one file; all names of it are one copy."""
        if self.stop.is_set():
            raise TooMuch
        number = self._by_inode.get(entry.ino) if entry.nlink > 1 else None
        if number is None:
            number = len(self.numbers)
            self._copy(folder, name, number, entry)
            if entry.nlink > 1:
                self._by_inode[entry.ino] = number
        self.numbers[path] = number

    def _copy(self, folder: int, name: str, number: int, entry: Entry) -> None:
        source = os.open(name, _FILE, dir_fd=folder)
        try:
            if not S_ISREG(os.fstat(source).st_mode):
                raise OSError(EINVAL, os.strerror(EINVAL), name)
            copy = os.open(str(number), _NEW, 0o600, dir_fd=self.folder)
            try:
                if not self._clone(source, copy):
                    self._copy_data(source, copy, entry.size)
            finally:
                os.close(copy)
        finally:
            os.close(source)

    def _clone(self, source: int, copy: int) -> bool:
        if not self._clones:
            return False
        try:
            ioctl(copy, _FICLONE, source)
        except OSError as error:
            if error.errno not in _NO_CLONES:
                raise
            self._clones = False
        return self._clones

    def _copy_data(self, source: int, copy: int, size: int) -> None:
        at = 0
        while at < size:
            try:
                start = os.lseek(source, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == ENXIO:
                    break  # nothing but a hole is left
                raise
            at = self._copy_piece(source, copy, start, os.lseek(source, start, os.SEEK_HOLE))
        os.ftruncate(copy, size)

    def _copy_some(self, source: int, copy: int, at: int, most: int) -> int:
        if self._ranges:
            try:
                return os.copy_file_range(source, copy, most, at, at)
            except OSError as error:
                if error.errno not in _NO_CLONES:
                    raise
                self._ranges = False  # not from one file system to another
        os.lseek(copy, at, os.SEEK_SET)
        return os.sendfile(copy, source, at, most)

    def _copy_piece(self, source: int, copy: int, at: int, end: int) -> int:
        while at < end:
            self.size += min(_CHUNK, end - at)
            if self.size > self.bytes_max or self.stop.is_set():
                raise TooMuch
            copied = self._copy_some(source, copy, at, min(_CHUNK, end - at))
            if copied == 0:
                return end
            at += copied
        return at


@dataclass(kw_only=True)
class TakenFolder:
    """What was found and copied."""

    mark: FolderMark
    numbers: dict[str, int]
    size: int

    @property
    def copies(self) -> int:
        """How many files were copied, each counted by all its names."""
        return len(self.numbers)


@dataclass(kw_only=True)
class _Layout:
    top: int
    copies: int
    taken: TakenFolder
    since: FolderMark
    placeholders: int = 0
    databases: list[str] = field(default_factory=list)
    _places: dict[int, str] = field(default_factory=dict)
    """Where the first name of a file with several lies, by inode."""
    _parent: str | None = None
    _folder: int = -1

    def lay(self) -> None:
        """All of it; folders get their times when nothing is added to them any more."""
        entries = self.taken.mark.entries
        try:
            for path, entry in entries.items():
                if path:
                    self._add(path, entry)
        finally:
            if self._folder >= 0:
                os.close(self._folder)
        for path, entry in reversed(entries.items()):
            if S_ISDIR(entry.mode):
                _dress(self.top, path or ".", entry, entry.mtime_ns)

    def _add(self, path: str, entry: Entry) -> None:
        parent, _, name = path.rpartition("/")
        if parent != self._parent:
            if self._folder >= 0:
                os.close(self._folder)
                self._folder = -1
            self._folder = os.open(parent or ".", _FOLDER, dir_fd=self.top)
            self._parent = parent
        if S_ISDIR(entry.mode):
            os.mkdir(name, 0o700, dir_fd=self._folder)
        elif S_ISLNK(entry.mode):
            os.symlink(entry.link, name, dir_fd=self._folder)
            _dress(self._folder, name, entry, entry.mtime_ns)
        else:
            self._add_file(path, name, entry)

    def _add_file(self, path: str, name: str, entry: Entry) -> None:
        number = self.taken.numbers.get(path)
        kept, first = self.taken.mark.kept_ns, self._places.get(entry.ino) if entry.nlink > 1 else None
        if first is not None:
            if (number is None) != (first not in self.taken.numbers):
                raise TooMuch  # two names of one file that don't agree: never a placeholder for what was written
            os.link(first, name, src_dir_fd=self.top, dst_dir_fd=self._folder, follow_symlinks=False)
            mtime_ns = kept.get(first, entry.mtime_ns)
        elif number is not None:
            os.rename(str(number), name, src_dir_fd=self.copies, dst_dir_fd=self._folder)
            self._note_database(path, name)
            mtime_ns = entry.mtime_ns + 1 + secrets.randbelow(MOVED_NS)
            _dress(self._folder, name, entry, mtime_ns)
        else:
            mtime_ns = self.since.kept_ns.get(path, entry.mtime_ns)
            self._add_placeholder(name, entry, mtime_ns)
        if entry.nlink > 1:
            self._places.setdefault(entry.ino, path)
        if mtime_ns != entry.mtime_ns:
            kept[path] = mtime_ns
        self.placeholders += number is None

    def _add_placeholder(self, name: str, entry: Entry, mtime_ns: int) -> None:
        place = os.open(name, _NEW, 0o600, dir_fd=self._folder)
        try:
            os.ftruncate(place, entry.size)
            if (entry.uid, entry.gid) != _US:
                os.fchown(place, entry.uid, entry.gid)
            os.fchmod(place, S_IMODE(entry.mode))
            os.utime(place, ns=(mtime_ns, mtime_ns))
            for attribute, value in entry.attributes:
                os.setxattr(place, attribute, value)
        finally:
            os.close(place)

    def _note_database(self, path: str, name: str) -> None:
        logged = path.removesuffix("-wal")
        if logged != path and logged in self.taken.mark.entries:
            self.databases.append(logged)
            return
        copy = os.open(name, _FILE, dir_fd=self._folder)
        try:
            if os.read(copy, len(SQLITE)) == SQLITE:
                self.databases.append(path)
        finally:
            os.close(copy)


_US = (os.geteuid(), os.getegid())


def _dress(folder: int, name: str, entry: Entry, mtime_ns: int) -> None:
    """Owner, mode, attributes and times, in an order in which none undoes another."""
    if (entry.uid, entry.gid) != _US:
        os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
    if not S_ISLNK(entry.mode):
        os.chmod(name, S_IMODE(entry.mode), dir_fd=folder)
    for attribute, value in entry.attributes:
        os.setxattr(f"/proc/self/fd/{folder}/{name}", attribute, value, follow_symlinks=False)
    os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)


def lay_out(top: int, copies: int, taken: TakenFolder, since: FolderMark) -> tuple[int, list[str]]:
    """Lay the tree out in the empty folder `top`: how many placeholders it has, and which copies are databases."""
    layout = _Layout(top=top, copies=copies, taken=taken, since=since)
    layout.lay()
    with suppress(OSError):
        os.fsync(top)
    return layout.placeholders, layout.databases
