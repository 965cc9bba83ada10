"""Folders of images that are only remembered, for tests and measurements."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from innkeeper.core.pack_errors import UnknownPack


class MemoryFolders:
    """The core's `ImageFolders` on a dictionary: by image and path, files and what is in them."""

    def __init__(self) -> None:
        self.folders: dict[tuple[str, str], Mapping[str, bytes]] = {}
        self.reads = 0

    @asynccontextmanager
    async def folder(self, image: str, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """It as a tarball, as an Engine gives it: in a folder of its own name."""
        if (image, path) not in self.folders:
            raise UnknownPack(f"The image {image} has no folder {path}.")
        self.reads += 1
        yield _chunks(path.rpartition("/")[2], self.folders[image, path])

    async def close(self) -> None:
        """Nothing to close."""


async def _chunks(top: str, files: Mapping[str, bytes]) -> AsyncIterator[bytes]:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    yield written.getvalue()
