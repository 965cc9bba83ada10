"""Reading a folder out of an image: of a container that is made for it, never started, and removed again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from innkeeper.core.errors import ImageMissing, Problem
from innkeeper.core.pack_errors import UnknownPack
from innkeeper.runtimes.docker_engine import ACT_S, Clash, Engine, NotThere

LABEL = "innkeeper.reading"
IDLE_S = 60.0
_CHUNK = 1 << 20


class DockerFolders:
    """The core's `ImageFolders` on an Engine."""

    def __init__(self, *, socket: str, namespace: str) -> None:
        self._engine = Engine(socket)
        self._namespace = namespace

    @asynccontextmanager
    async def folder(self, image: str, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """It as a tarball."""
        name = f"{self._namespace}_read_{hashlib.sha256(f'{image} {path}'.encode()).hexdigest()[:16]}"
        await self._remove(name)  # what a crash has left
        await self._create(name, image)
        try:
            async with self._engine.stream(
                f"read {path} of an image", f"containers/{name}/archive", {"path": path}, idle_s=IDLE_S
            ) as content:
                yield content.iter_chunked(_CHUNK)
        except NotThere as missing:
            raise UnknownPack(f"The image {image} has no folder {path}.") from missing
        finally:
            with suppress(Problem):  # the next one to read it tries again
                await self._remove(name)

    async def close(self) -> None:
        """Let go of the Engine."""
        await self._engine.close()

    async def _create(self, name: str, image: str) -> None:
        config: dict[str, Any] = {
            "Image": image,
            "Entrypoint": ["/never-started"],
            "NetworkDisabled": True,
            "Labels": {LABEL: self._namespace},
        }
        try:
            async with self._engine.call(f"open the image {image}", timeout_s=ACT_S) as docker:
                await docker.containers.create(config, name=name)
        except NotThere as missing:
            raise ImageMissing(f"The image {image} isn't here.") from missing

    async def _remove(self, name: str) -> None:
        shown = await self._engine.inspect(name)
        if shown is None or (shown["Config"]["Labels"] or {}).get(LABEL) != self._namespace:
            return
        with suppress(NotThere, Clash):
            async with self._engine.call(f"remove {name}", timeout_s=ACT_S) as docker:
                await docker.containers.container(shown["Id"]).delete(force=True, v=True)
