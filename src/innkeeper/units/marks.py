"""Marks of a folder: what is in it and as of when, told by one walk that reads no file.

Two marks tell what was written between them. A file counts as unwritten when its inode, size, mtime and ctime are the
same: the ctime is the kernel's, nobody but root can set it. What was changed in the very moment before a mark was begun
may change again without a new ctime, for the kernel's clock ticks some times a second (kernel/time/timekeeping.c,
`ktime_get_coarse_real_ts64`; CONFIG_HZ is 100 at the least): it counts as written since.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EINVAL, ELOOP
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Any, NamedTuple

from innkeeper.core.ports.stills import TooMuch

TICK_NS = 20_000_000
"""Twice the longest tick."""
DEPTH_MAX = 400
"""Each level takes a descriptor while it is walked."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
Attributes = tuple[tuple[str, bytes], ...]


class Entry(NamedTuple):
    """What is known of one path."""

    mode: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int
    uid: int
    gid: int
    nlink: int
    link: str = ""
    """Where a symbolic link points to."""
    attributes: Attributes = ()

    def same(self, other: Entry) -> bool:
        """Whether it hasn't been touched between the two."""
        return self[:8] == other[:8]


@dataclass(kw_only=True)
class FolderMark:
    """A folder as it was at one moment, or over the time of the walk if it lived."""

    began_ns: int
    """When the walk began, by the clock that stamps files."""
    entries: dict[str, Entry] = field(default_factory=dict)
    """By path below it, folders before what is in them; `` is the folder itself."""
    kept_ns: dict[str, int] = field(default_factory=dict)
    """The mtime that some files have in the snapshot, where it isn't their own; see shadows.py."""

    @property
    def files(self) -> int:
        """How many regular files."""
        return sum(S_ISREG(each.mode) for each in self.entries.values())

    @property
    def digest(self) -> str:
        """The same for a folder that nobody has touched since."""
        told = hashlib.sha256()
        for path, entry in sorted(self.entries.items()):
            told.update(f"{path}\0{entry[:9]!r}\n".encode(errors="surrogateescape"))
        return told.hexdigest()

    @property
    def size(self) -> int:
        """How large they are together, in bytes."""
        return sum(each.size for each in self.entries.values() if S_ISREG(each.mode))

    def is_unwritten(self, path: str, now: Entry) -> bool:
        """Whether what is there now was there, just so, when this mark was taken."""
        then = self.entries.get(path)
        return then is not None and now.ctime_ns < self.began_ns - TICK_NS and now.same(then)

    def written_since(self, now: FolderMark) -> tuple[int, int]:
        """How many regular files of `now` were written since this mark, and how large they are together."""
        written = [
            entry.size
            for path, entry in now.entries.items()
            if S_ISREG(entry.mode) and not self.is_unwritten(path, entry)
        ]
        return len(written), sum(written)

    def dumped(self) -> bytes:
        """To be kept."""
        entries = {path: [*each[:9], [[k, v.hex()] for k, v in each.attributes]] for path, each in self.entries.items()}
        told = {"format": 1, "began_ns": self.began_ns, "kept_ns": self.kept_ns, "entries": entries}
        return zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 1)

    @classmethod
    def read(cls, content: bytes) -> FolderMark:
        """What was kept so; raises ValueError."""
        try:
            told: Mapping[str, Any] = json.loads(zlib.decompress(content))
            if told["format"] != 1:
                raise ValueError(told["format"])
            entries = {
                path: Entry._make((*each[:9], tuple((name, bytes.fromhex(value)) for name, value in each[9])))
                for path, each in told["entries"].items()
            }
            return cls(began_ns=told["began_ns"], entries=entries, kept_ns=dict(told["kept_ns"]))
        except (zlib.error, KeyError, TypeError, IndexError, RecursionError) as error:
            raise ValueError(str(error)) from error


OnWritten = Callable[[int, str, str, Entry], None]
"""Told of a file that was written: the descriptor of its folder, its name there, its path, and what is known of it."""


def mark(
    folder: int,
    *,
    began_ns: int,
    since: FolderMark | None = None,
    leave_out: Collection[str] = (),
    entries_max: int,
    on_written: OnWritten | None = None,
) -> FolderMark:
    """Walk the folder, of which `folder` is a descriptor; raises TooMuch and OSError.

    Of what is as it was in `since`, targets of links and extended attributes are taken from there. Paths in `leave_out`
    aren't entered, nor are other file systems. Sockets aren't kept, so they aren't told. What vanishes meanwhile isn't
    there.
    """
    walk = _Walk(
        found=FolderMark(began_ns=began_ns),
        then={} if since is None else since.entries,
        settled_ns=0 if since is None else since.began_ns - TICK_NS,
        leave_out=frozenset(leave_out),
        device=os.fstat(folder).st_dev,
        left=entries_max,
        on_written=on_written,
    )
    walk.add_folder_itself(folder)
    walk.add(folder, "", 0)
    return walk.found


@dataclass(kw_only=True)
class _Walk:
    found: FolderMark
    then: Mapping[str, Entry]
    settled_ns: int
    leave_out: frozenset[str]
    device: int
    left: int
    on_written: OnWritten | None

    def add_folder_itself(self, folder: int) -> None:
        """The top, which has no name."""
        self.found.entries[""] = self._new(folder, ".", os.fstat(folder))

    def add(self, folder: int, path: str, depth: int) -> None:
        """What is in a folder and below; one descriptor for each level."""
        if depth > DEPTH_MAX:
            raise TooMuch
        below = []
        with os.scandir(folder) as found:
            for each in found:
                self.left -= 1
                if self.left < 0:
                    raise TooMuch
                name = each.name
                here = f"{path}/{name}" if path else name
                if here in self.leave_out:
                    continue
                with suppress(FileNotFoundError):
                    status = each.stat(follow_symlinks=False)
                    if status.st_dev == self.device and self._add_entry(folder, name, here, status):
                        below.append((name, here))
        for name, here in below:
            with suppress(FileNotFoundError, NotADirectoryError):  # it isn't there any more
                self._add_below(folder, name, here, depth)

    def _add_entry(self, folder: int, name: str, path: str, status: os.stat_result) -> bool:
        """Whether it is a folder."""
        mode = status.st_mode
        if not (S_ISREG(mode) or S_ISDIR(mode) or S_ISLNK(mode)):
            return False  # FIFOs and sockets hold nothing, and devices can't be made by tenants
        if (then := self._unwritten(path, status)) is not None:
            self.found.entries[path] = then
            return S_ISDIR(mode)
        entry = self._new(folder, name, status)
        if S_ISREG(mode) and self.on_written is not None:
            self.on_written(folder, name, path, entry)
        # Not before it is copied: one that vanishes meanwhile must not look like one that wasn't written.
        self.found.entries[path] = entry
        return S_ISDIR(mode)

    def _add_below(self, folder: int, name: str, path: str, depth: int) -> None:
        try:
            below = os.open(name, FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno == ELOOP:
                return  # somebody has put a link in its place
            raise
        try:
            self.add(below, path, depth + 1)
        finally:
            os.close(below)

    def _unwritten(self, path: str, status: os.stat_result) -> Entry | None:
        """What was known of it, where it is as it was then; told in a hurry, for somebody may be frozen meanwhile."""
        then = self.then.get(path)
        if (
            then is not None
            and then.ctime_ns == status.st_ctime_ns
            and then.ctime_ns < self.settled_ns
            and then.ino == status.st_ino
            and then.mtime_ns == status.st_mtime_ns
            and then.mode == status.st_mode
            and (not S_ISREG(then.mode) or (then.size == status.st_size and then.nlink == status.st_nlink))
            and then.uid == status.st_uid
            and then.gid == status.st_gid
        ):
            return then
        return None

    def _new(self, folder: int, name: str, status: os.stat_result) -> Entry:
        is_file = S_ISREG(status.st_mode)
        return Entry(
            status.st_mode,
            status.st_ino,
            status.st_size if is_file else 0,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_uid,
            status.st_gid,
            status.st_nlink if is_file else 1,
            _target(folder, name) if S_ISLNK(status.st_mode) else "",
            _attributes(folder, name),
        )


def _target(folder: int, name: str) -> str:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno == EINVAL:
            raise FileNotFoundError(name) from error  # something else is in its place by now
        raise


def _attributes(folder: int, name: str) -> Attributes:
    at = f"/proc/self/fd/{folder}/{name}"  # through the descriptor: nobody can put a link on the way
    try:
        names = os.listxattr(at, follow_symlinks=False)
        return tuple((each, os.getxattr(at, each, follow_symlinks=False)) for each in names)
    except FileNotFoundError:
        raise
    except OSError:
        return ()  # the file system has none
