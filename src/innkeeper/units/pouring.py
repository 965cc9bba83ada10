"""Writing somebody's tree into a folder of ours: through descriptors, each name made anew, nothing ever followed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from innkeeper.units.entry_table import Entry
from innkeeper.units.safe_tree import Owner
from innkeeper.units.tar_headers import Kind

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LAST_S = 253_402_300_799.0
"""The end of the year 9999: later is nobody's time."""


@dataclass(kw_only=True)
class Poured:
    """What was written."""

    files: int = 0
    bytes: int = 0
    links: int = 0
    changed: list[str] = field(default_factory=list)
    """Files that changed while they were read."""


class Pouring:
    """One folder that nobody else has yet, filled from the top down; `owner` gets all of it."""

    def __init__(self, root: int, owner: Owner) -> None:
        self._owner = owner
        self._open: list[tuple[str, int]] = [("", os.dup(root))]
        self.poured = Poured()

    def __enter__(self) -> Pouring:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.pop()[1])

    def put(self, path: str, entry: Entry, pieces: Iterable[bytes], *, same_as: str | None = None) -> None:
        """The entry at `path` (none of "" and `..` in it); `same_as`: a file poured before that a hard link is."""
        if entry.kind is Kind.FOLDER:
            os.fchmod(self._folder(path), entry.mode & 0o777 | 0o700)
            return
        above, _, name = path.rpartition("/")
        parent = self._folder(above)
        if entry.kind is Kind.LINK:
            os.symlink(entry.target, name, dir_fd=parent)
            os.chown(name, self._owner.uid, self._owner.gid, dir_fd=parent, follow_symlinks=False)
            self.poured.links += 1
        elif same_as is not None:
            self._hard_link(same_as, path)
        else:
            self._file(parent, name, entry, pieces)

    def put_file(self, path: str, content: bytes) -> None:
        """A file of ours among them, 0600."""
        self.put(path, Entry(path=path, kind=Kind.FILE, size=len(content)), [content])

    def finish(self) -> None:
        """All of it on the disk when this returns."""
        sync_disk(self._open[0][1])

    def _file(self, parent: int, name: str, entry: Entry, pieces: Iterable[bytes]) -> None:
        descriptor = os.open(name, _NEW, 0o600, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                self.poured.bytes += file.write(piece)
            file.flush()
            os.fchown(descriptor, self._owner.uid, self._owner.gid)
            os.fchmod(descriptor, entry.mode & 0o777 | 0o600)
            if 0 < entry.mtime < _LAST_S:
                os.utime(descriptor, (entry.mtime, entry.mtime))
        self.poured.files += 1

    def _hard_link(self, there: str, path: str) -> None:
        above, _, name = there.rpartition("/")
        source = os.dup(self._folder(above))
        try:
            into, _, new = path.rpartition("/")
            os.link(name, new, src_dir_fd=source, dst_dir_fd=self._folder(into), follow_symlinks=False)
        finally:
            os.close(source)
        self.poured.files += 1

    def _folder(self, path: str) -> int:
        """The folder's descriptor; those on the way to it are kept open until the next path leads elsewhere."""
        names = path.split("/") if path else []
        kept = 0
        while kept < len(names) and kept + 1 < len(self._open) and self._open[kept + 1][0] == names[kept]:
            kept += 1
        while len(self._open) > kept + 1:
            os.close(self._open.pop()[1])
        for name in names[kept:]:
            self._open.append((name, self._enter(self._open[-1][1], name)))
        return self._open[-1][1]

    def _enter(self, parent: int, name: str) -> int:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            return os.open(name, _FOLDER, dir_fd=parent)
        found = os.open(name, _FOLDER, dir_fd=parent)
        os.fchown(found, self._owner.uid, self._owner.gid)
        return found


def sync_disk(descriptor: int) -> None:
    """Have the file system of that folder write down all that it holds: one call for twenty thousand files."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def placed(path: str, moves: Mapping[str, str | None]) -> str | None:
    """Where what lies at `path` goes by the longest of `moves` that fits; None: nowhere."""
    above = path
    while above not in moves:
        if not above:
            return None
        above = above.rpartition("/")[0]
    target = moves[above]
    if target is None:
        return None
    rest = path[len(above) :].lstrip("/")
    return "/".join(part for part in (target, rest) if part)
