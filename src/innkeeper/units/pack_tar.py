"""Writing a tar: everything in it is named here, numbered owners only, and its last member proves that it is whole."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from typing import BinaryIO, Protocol, cast

END = "innkeeper.end"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Writer(Protocol):
    """Where a tar goes."""

    def write(self, data: bytes, /) -> int: ...


class Tarring:
    """One tar, all of it below the folder `top`."""

    def __init__(
        self, out: Writer, top: str, *, at: int, on_bytes: Callable[[int], object] = lambda written: None
    ) -> None:
        self._top = top
        self._at = at
        self._counted = _Counted(out, on_bytes)
        self._tar = tarfile.open(  # noqa: SIM115 - closed by `end`
            fileobj=cast("BinaryIO", self._counted), mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 18
        )
        self._members = 0
        self.short: list[str] = []
        """Files that had become shorter than they were when they were begun; the rest of them is zeros."""

    def folder(self, path: str, *, mode: int = 0o700, owner: int = 0) -> None:
        """A folder; "" is the top itself."""
        self._add(self._info(path, tarfile.DIRTYPE, mode=mode, owner=owner))

    def file(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        """A file of ours."""
        info = self._info(path, tarfile.REGTYPE, mode=mode)
        info.size = len(content)
        self._add(info, io.BytesIO(content))

    def stream(self, path: str, file: BinaryIO, size: int) -> None:
        """A file that is read as it is written."""
        info = self._info(path, tarfile.REGTYPE, mode=0o600)
        info.size = size
        self._add(info, _Exactly(file, size))

    def tree(self, folder: int, under: str, *, owner: int) -> None:
        """All that lies in the folder, which becomes `under`: given to `owner`, links as links, never followed."""
        self.folder(under, mode=stat.S_IMODE(os.fstat(folder).st_mode) & 0o777, owner=owner)
        self._tree(folder, under, owner, {})

    def end(self) -> None:
        """The last member, and the tar's own end."""
        proof = {"format": 1, "members": self._members, "bytes": self._tar.offset}
        self.file(END, json.dumps(proof).encode() + b"\n")
        self._tar.close()

    def _tree(self, folder: int, path: str, owner: int, names: dict[int, str]) -> None:
        with os.scandir(folder) as entries:
            found = sorted(entry.name for entry in entries)
        for name in found:
            self._entry(folder, name, f"{path}/{name}", owner, names)

    def _entry(self, folder: int, name: str, path: str, owner: int, names: dict[int, str]) -> None:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        mode, at = stat.S_IMODE(status.st_mode) & 0o777, int(status.st_mtime)
        if stat.S_ISDIR(status.st_mode):
            self._add(self._info(path, tarfile.DIRTYPE, mode=mode, owner=owner, at=at))
            below = os.open(name, _FOLDER, dir_fd=folder)
            try:
                self._tree(below, path, owner, names)
            finally:
                os.close(below)
        elif stat.S_ISLNK(status.st_mode):
            info = self._info(path, tarfile.SYMTYPE, mode=0o777, owner=owner, at=at)
            info.linkname = os.readlink(name, dir_fd=folder)
            self._add(info)
        elif stat.S_ISREG(status.st_mode):
            first = names.setdefault(status.st_ino, path) if status.st_nlink > 1 else path
            if first != path:
                info = self._info(path, tarfile.LNKTYPE, mode=mode, owner=owner, at=at)
                info.linkname = f"{self._top}/{first}"
                self._add(info)
            else:
                self._copy(folder, name, self._info(path, tarfile.REGTYPE, mode=mode, owner=owner, at=at))

    def _copy(self, folder: int, name: str, info: tarfile.TarInfo) -> None:
        with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            content = _Exactly(file, info.size)
            self._add(info, content)
        if content.missed:
            self.short.append(info.name)

    def _info(self, path: str, kind: bytes, *, mode: int, owner: int = 0, at: int | None = None) -> tarfile.TarInfo:
        info = tarfile.TarInfo(f"{self._top}/{path}" if path else self._top)
        info.type, info.mode, info.mtime = kind, mode, max(0, self._at if at is None else at)
        info.uid = info.gid = owner
        return info

    def _add(self, info: tarfile.TarInfo, content: io.BytesIO | _Exactly | None = None) -> None:
        self._tar.addfile(info, cast("BinaryIO | None", content))
        self._tar.members.clear()  # type: ignore[attr-defined] # it would keep them all
        self._members += 1


class _Counted:
    """Knows how much went through."""

    def __init__(self, out: Writer, on_bytes: Callable[[int], object]) -> None:
        self._out = out
        self._on_bytes = on_bytes
        self.written = 0

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self.written += len(data)
        self._on_bytes(self.written)
        return len(data)


class _Exactly:
    """A file as long as it was said to be: what is missing at its end is zeros."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        self.missed = 0

    def read(self, most: int = -1) -> bytes:
        wanted = self._left if most < 0 else min(most, self._left)
        piece = self._file.read(wanted)
        self.missed += wanted - len(piece)
        self._left -= wanted
        return piece.ljust(wanted, b"\0")
