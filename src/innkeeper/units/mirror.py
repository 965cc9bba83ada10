"""Copying a tenant's tree while its owner writes in it, and once more what has changed since: the second pass is short.

The first pass may take as long as it likes, and what it copies may be half written. The second is for a tenant that is
held still (core/stillness.py): it looks at every file, and copies those that aren't as they were when they were copied.
The source is somebody hostile's, so it is walked by descriptors, and no link in it is followed; the copy is ours alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

from innkeeper.core.errors import UnitFault
from innkeeper.core.unit_limits import DEPTH_MAX, ENTRIES_MAX, PATH_MAX_BYTES
from innkeeper.units.erase import erase

HOLES_MAX_BYTES = 1 << 30
"""A file with more of them isn't copied: it would be as long as it says wherever holes aren't known."""
TOLD_MAX = 1000
_SETTLED_NS = 1_000_000_000
"""A file that was changed less than that ago may be changed again without its times telling: the kernel's clock ticks
every 4 ms, and its copies are compared by it."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
_FICLONE = 0x40049409
_CANT = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM)
_BUSY = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""Its owner is at work: what was there a moment ago is something else, or gone."""

_Print = tuple[int, int, int, int]
"""Inode, ctime, size and mtime."""


class Stopped(Exception):
    """Whoever wanted the copy doesn't any more."""


@dataclass(kw_only=True)
class Mark:
    """What a pass found, for the next one to compare with."""

    files: dict[str, _Print | None] = field(default_factory=dict)
    """By path; None: changed so lately that whether it is the same can't be told next time."""
    others: dict[str, str | None] = field(default_factory=dict)
    """Folders (None) and where links lead."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What couldn't be copied, and why; the first thousand."""
    copied: int = 0
    """Files that this pass copied …"""
    copied_bytes: int = 0
    bytes: int = 0
    """… and what all files hold."""

    changed: list[str] = field(default_factory=list)
    """Files that changed while they were copied; the first thousand."""


def mirror(
    source: int,
    target: int,
    *,
    since: Mark | None = None,
    leave_out: Collection[str] = (),
    wanted: Callable[[], bool] = lambda: True,
) -> Mark:
    """Make the folder `target` the same as `source`, which is `since` what that says, or empty.

    `leave_out` are paths in it. Hard links, holes, modes and times are kept; owners are the caller's. Devices, FIFOs,
    sockets and what other file systems are mounted in it are left out. Raises Stopped as soon as it isn't `wanted` any
    more, OSError, and UnitFault for more entries than anybody should have.
    """
    work = _Pass(source, target, since or Mark(), frozenset(leave_out), wanted)
    work.folder(source, "", 0)
    work.remove_the_rest()
    return work.mark


class _Pass:
    def __init__(
        self, source: int, target: int, since: Mark, leave_out: frozenset[str], wanted: Callable[[], bool]
    ) -> None:
        self._target = target
        self._since = since
        self._leave_out = leave_out
        self._wanted = wanted
        self._device = os.fstat(source).st_dev
        self._names: dict[int, str] = {}
        """Where the first name of a file lies that has several."""
        self.mark = Mark()

    def folder(self, folder: int, path: str, depth: int) -> None:
        """All that lies in it."""
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            below = f"{path}/{name}" if path else name
            if below in self._leave_out or below in self.mark.files or below in self.mark.others:
                continue  # a folder that is written to may name something twice
            if not self._wanted():
                raise Stopped
            if len(self.mark.files) + len(self.mark.others) >= ENTRIES_MAX:
                raise UnitFault(f"There are more than {ENTRIES_MAX} files and folders in it.", hint="Tidy it up.")
            if depth >= DEPTH_MAX or len(os.fsencode(below)) > PATH_MAX_BYTES:
                self._tell(below, "it lies too deep")
                continue
            try:
                self._entry(folder, name, below, depth)
            except _BUSY:
                self._forget(below)
                self._tell(below, "it became something else meanwhile")
            except PermissionError:
                self._forget(below)
                self._tell(below, "it can't be read")

    def remove_the_rest(self) -> None:
        """What was there before and isn't any more. What lay in a folder that is gone went with it: its place may be a
        link's now, and is never looked behind."""
        before = self._since.files.keys() | self._since.others.keys()
        for path in before - self.mark.files.keys() - self.mark.others.keys():
            above = path.rpartition("/")[0]
            if not above or self.mark.others.get(above, "") is None:
                self._remove(path)

    def _entry(self, folder: int, name: str, path: str, depth: int) -> None:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        kind = stat.S_IFMT(found.st_mode)
        if found.st_dev != self._device:
            self._tell(path, "another file system is mounted there")
        elif kind == stat.S_IFREG:
            self._file(folder, name, path, found)
        elif kind == stat.S_IFDIR:
            self._below(folder, name, path, depth)
        elif kind == stat.S_IFLNK:
            self._link(folder, name, path)
        else:
            self._tell(path, "it is a device, a FIFO or a socket")

    def _below(self, folder: int, name: str, path: str, depth: int) -> None:
        below = os.open(name, _FOLDER, dir_fd=folder)
        try:
            found = os.fstat(below)
            if found.st_dev != self._device:
                self._tell(path, "another file system is mounted there")
                return
            if path not in self._since.others or self._since.others[path] is not None:
                self._remove(path)
                os.mkdir(path, 0o700, dir_fd=self._target)
            os.chmod(path, stat.S_IMODE(found.st_mode) & 0o777 | 0o700, dir_fd=self._target)
            self.mark.others[path] = None
            self.folder(below, path, depth + 1)
        finally:
            os.close(below)

    def _link(self, folder: int, name: str, path: str) -> None:
        try:
            leads_to = os.readlink(name, dir_fd=folder)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise FileNotFoundError from error
        if self._since.others.get(path) != leads_to:
            self._remove(path)
            os.symlink(leads_to, path, dir_fd=self._target)
        self.mark.others[path] = leads_to

    def _file(self, folder: int, name: str, path: str, found: os.stat_result) -> None:
        self.mark.bytes += found.st_size
        if self._since.files.get(path) == _print(found):
            self.mark.files[path] = _print(found)
            if found.st_nlink > 1:
                self._names.setdefault(found.st_ino, path)
            return
        if found.st_size - found.st_blocks * 512 > HOLES_MAX_BYTES:
            self._tell(path, "more than a gigabyte of it is holes")
            return
        descriptor = os.open(name, _FILE, dir_fd=folder)
        try:
            opened = os.fstat(descriptor)
            if not stat.S_ISREG(opened.st_mode) or opened.st_dev != self._device:
                raise FileNotFoundError(path)
            self._remove(path)
            first = self._names.setdefault(opened.st_ino, path) if opened.st_nlink > 1 else path
            if first != path:
                os.link(first, path, src_dir_fd=self._target, dst_dir_fd=self._target, follow_symlinks=False)
                self.mark.files[path] = self.mark.files.get(first)
                return
            self._copy(descriptor, opened, path)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        same = _print(opened) == _print(after)
        settled = time.time_ns() - after.st_ctime_ns > _SETTLED_NS
        self.mark.files[path] = _print(opened) if same and settled else None
        if not same and len(self.mark.changed) < TOLD_MAX:
            self.mark.changed.append(path)

    def _copy(self, source: int, found: os.stat_result, path: str) -> None:
        target = os.open(path, _NEW, 0o600, dir_fd=self._target)
        try:
            if not _clone(source, target):
                _copy_data(source, target, found.st_size, self._wanted)
            os.ftruncate(target, found.st_size)
            os.fchmod(target, stat.S_IMODE(found.st_mode) & 0o777)
            os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))
        finally:
            os.close(target)
        self.mark.copied += 1
        self.mark.copied_bytes += found.st_size

    def _remove(self, path: str) -> None:
        """Whatever is at that place of the copy."""
        try:
            os.unlink(path, dir_fd=self._target)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (IsADirectoryError, PermissionError):
            above, _, name = path.rpartition("/")
            parent = os.open(above or ".", _FOLDER, dir_fd=self._target)
            try:
                erase(parent, name)
            finally:
                os.close(parent)

    def _forget(self, path: str) -> None:
        self.mark.files.pop(path, None)
        self.mark.others.pop(path, None)

    def _tell(self, path: str, why: str) -> None:
        if len(self.mark.left_out) < TOLD_MAX:
            self.mark.left_out[path] = why


def _print(found: os.stat_result) -> _Print:
    return found.st_ino, found.st_ctime_ns, found.st_size, found.st_mtime_ns


def _clone(source: int, target: int) -> bool:
    """Whether the file system shares the blocks of both, as btrfs and XFS do."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANT:
            return False
        raise
    return True


def _copy_data(source: int, target: int, size: int, wanted: Callable[[], bool]) -> None:
    """What isn't holes, up to `size`; one that shrinks meanwhile is short of the rest."""
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole to the end
            raise
        end = min(size, os.lseek(source, at, os.SEEK_HOLE))
        while at < end:
            if not wanted():
                raise Stopped
            copied = _copy_some(source, target, at, min(_CHUNK, end - at))
            if not copied:
                return
            at += copied


def _copy_some(source: int, target: int, at: int, most: int) -> int:
    with suppress(OSError):  # not from and to every file system
        return os.copy_file_range(source, target, most, at, at)
    piece, written = os.pread(source, most, at), 0
    while written < len(piece):
        written += os.pwrite(target, piece[written:], at + written)
    return len(piece)
