"""Opening a path on this host that somebody wants imported.

The control plane may read what the one who asks may not: so what is its own is never a source, nor is what the kernel
makes up (`/proc/self/environ` is a file, too), and links are followed once, before anything is opened, and never after.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from innkeeper.core.import_errors import SourceForbidden, SourceMissing

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KERNELS = ("/proc", "/sys", "/dev")


@dataclass(frozen=True, kw_only=True)
class Premises:
    """Which paths may be read."""

    data: Path
    """The data directory: tenants, keys, database."""
    roots: Sequence[Path] | None = None
    """The folders below which sources may lie; None: anywhere."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A source that is open; whoever has it closes it."""

    descriptor: int
    is_folder: bool
    name: str
    """What it is called, for a tenant's name to be made of: of a Docker volume not `_data`."""


def opened(path: str, premises: Premises) -> Opened:
    """The folder or file there; SourceMissing, SourceForbidden."""
    if not path.startswith("/") or "\0" in path:
        raise SourceMissing(f"{path[:200]!r} is no absolute path.", hint="Name it from / on, as this host sees it.")
    real = Path(os.path.realpath(path))
    _check_roots(path, real, premises)
    data = identity(premises.data)
    here = os.open("/", _FOLDER)
    try:
        for name in real.parts[1:-1]:
            here = _enter(here, name, path, _FOLDER)
            _check(here, data, path)
        if len(real.parts) > 1:
            here = _enter(here, real.name, path, _FILE)
        _check(here, data, path)
        found = os.fstat(here)
    except BaseException:
        os.close(here)
        raise
    name = real.parent.name if real.name == "_data" else real.name
    return Opened(descriptor=here, is_folder=stat.S_ISDIR(found.st_mode), name=name)


def _check_roots(path: str, real: Path, premises: Premises) -> None:
    if premises.roots is not None and not any(real.is_relative_to(os.path.realpath(root)) for root in premises.roots):
        listed = ", ".join(map(str, premises.roots)) or "nowhere"
        raise SourceForbidden(f"{path} isn't below {listed}.", hint="INNKEEPER_IMPORT_FROM says what may be imported.")
    if Path(os.path.realpath(premises.data)).is_relative_to(real):
        raise SourceForbidden(f"{path} holds the data directory of this control plane.")


def _enter(parent: int, name: str, path: str, flags: int) -> int:
    try:
        below = os.open(name, flags, dir_fd=parent)
    except OSError as error:
        raise SourceMissing(f"{path} can't be opened: {os.strerror(error.errno or 0)}.") from error
    os.close(parent)
    return below


def _check(descriptor: int, data: tuple[int, int] | None, path: str) -> None:
    found = os.fstat(descriptor)
    if (found.st_dev, found.st_ino) == data:
        raise SourceForbidden(f"{path} lies in the data directory of this control plane.")
    made_up = {Path(each).stat().st_dev for each in _KERNELS if Path(each).exists()} - {Path("/").stat().st_dev}
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise SourceForbidden(f"{path} is neither a folder nor a file.")
    if found.st_dev in made_up:
        raise SourceForbidden(f"{path} is none of a disk's files.")


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode, by which a folder is known whatever it is mounted as; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
