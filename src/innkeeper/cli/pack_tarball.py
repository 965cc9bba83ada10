"""A pack on its way to the control plane: a tarball as it is, or a folder made into one."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from innkeeper.cli.exits import wrong_usage

MANIFEST = "pack.toml"


@contextmanager
def tarball(source: Path) -> Iterator[BinaryIO]:
    """The bytes to send."""
    try:
        if not source.is_dir():
            with source.open("rb") as file:
                yield file
            return
        if not (source / MANIFEST).is_file():
            raise wrong_usage(
                f"{source} has no {MANIFEST}.", hint='It says at least `name = "core"` and `version = "1"`.'
            )
        with tempfile.TemporaryFile() as made:
            _pack(source, made)
            made.seek(0)
            yield cast("BinaryIO", made)
    except OSError as error:
        raise wrong_usage(f"{error.filename or source} can't be read: {error.strerror}.") from error


def _pack(source: Path, to: IO[bytes]) -> None:
    with tarfile.open(fileobj=to, mode="w:gz") as tar:
        for path in sorted(source.rglob("*")):
            name = str(path.relative_to(source))
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise wrong_usage(f"{path} is no plain file.", hint="A pack has files and folders alone.")
            tar.add(path, arcname=name, recursive=False, filter=_nobodys)


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whose it was here is of no use there."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
