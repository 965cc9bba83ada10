"""The part of the composition root that makes images."""

from __future__ import annotations

from collections.abc import Callable

import aiodocker

from innkeeper.api.deps import BuildImage, BuiltImage
from innkeeper.images.build import ImageBuilder
from innkeeper.images.catalogue import Source
from innkeeper.settings import Settings


def image_maker(settings: Settings) -> BuildImage:
    """How images are made on this host."""

    async def build_image(
        agent: str, *, version: str | None, source: str, progress: Callable[[str], None]
    ) -> BuiltImage:
        async with aiodocker.Docker(url=f"unix://{settings.docker_socket}") as docker:
            builder = ImageBuilder(docker=docker, work_dir=settings.data / "images")
            return await builder.build(agent, version=version, source=Source(source), progress=progress)

    return build_image
