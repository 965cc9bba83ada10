"""Small files that nobody else may read, made or replaced whole or not at all, also when the power goes."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from innkeeper.keyring.faults import KeyringFault

SIZE_LIMIT = 1 << 20
_RANDOM = 16
"""Hexadecimal digits at the end of the name of a file that is being written."""
_WRITTEN_WITHIN_S = 600.0
"""Longer than that nobody writes a small file."""


def read_private(path: Path, *, limit: int = SIZE_LIMIT) -> bytes:
    """What the file holds; KeyringFault where others than its owner can get at it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyringFault(f"{path} is no file.")
        if status.st_mode & 0o077:
            raise KeyringFault(f"{path} is open to others.", hint=f"If nobody has used it: chmod 600 {path}")
        if status.st_uid not in (0, os.geteuid()):
            raise KeyringFault(f"{path} belongs to uid {status.st_uid}.", hint="Run as the user that made it.")
        return file.read(limit)


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """What the file holds, which is made whole or not at all."""
    with translated(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            write_once(path, make())
        return read_private(path)


def write_once(path: Path, content: bytes) -> bool:
    """Make the file; False where another process is quicker: its file stands then."""
    temporary = _written(path, content)
    made = False
    try:
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
            made = True
    finally:
        temporary.unlink()
    sync_folder(path.parent)
    return made


def replace_with(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Put other content in the file's place; whoever opens it finds the one or the other. Without `sync` that is so
    after a power cut, too, until the caller has synced the folder."""
    temporary = _written(path, content)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def wipe(path: Path) -> None:
    """Overwrite the file where it lies, as far as the disk does so, and take it away; nothing if it isn't there."""
    with suppress(FileNotFoundError):
        with path.open("r+b") as file:
            file.write(secrets.token_bytes(os.fstat(file.fileno()).st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)


def wipe_left_overs(path: Path) -> None:
    """Wipe what a crash has left of writing that file: copies that nobody knows of would end in a backup."""
    for temporary in path.parent.glob(f".{path.name}.{'[0-9a-f]' * _RANDOM}"):
        with suppress(FileNotFoundError):
            if time.time() - temporary.lstat().st_mtime > _WRITTEN_WITHIN_S:  # else somebody may be about to link it
                wipe(temporary)


def sync_folder(folder: Path) -> None:
    """Have the disk know what lies in the folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise what the file system says about `path` as a KeyringFault."""
    try:
        yield
    except OSError as error:
        raise KeyringFault(
            f"{path} can't be used: {error.strerror}.", hint="Check its folder and its owner."
        ) from error


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold the lock of a folder against other processes; the kernel drops it however we end."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _written(path: Path, content: bytes) -> Path:
    """A file beside it with that content, on the disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(_RANDOM // 2)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        temporary.unlink()
        raise
    return temporary
