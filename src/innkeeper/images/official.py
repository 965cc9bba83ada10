"""Takes an agent's official image from its registry, pinned by digest, where a registry answers."""

from __future__ import annotations

import asyncio

import aiodocker

from innkeeper.images.engine import translated
from innkeeper.images.problems import RegistryUnreachable
from innkeeper.images.recipes import Recipe

_ANSWERS_WITHIN_S = 8


async def pinned(docker: aiodocker.Docker, recipe: Recipe) -> str:
    """The official image as repository@digest, as its registry tells the Engine; RegistryUnreachable says why not."""
    if recipe.official is None:
        raise RegistryUnreachable(f"{recipe.agent} publishes no image of its own.")
    reference = f"{recipe.official}:{recipe.version}"
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            # aiodocker has no call of its own for this endpoint
            answer = await docker._query_json(f"distribution/{reference}/json")
    except TimeoutError as error:
        raise RegistryUnreachable(f"no word of {reference} within {_ANSWERS_WITHIN_S} s.") from error
    except aiodocker.DockerError as error:
        raise RegistryUnreachable(f"{reference} can't be had: {error.message.strip()}") from error
    return f"{recipe.official}@{answer['Descriptor']['digest']}"


async def pull(docker: aiodocker.Docker, image: str, *, tag: str) -> None:
    """Pull a pinned image and tag it for people."""
    name, _, version = tag.rpartition(":")
    with translated(f"pulling {image}"):
        await docker.images.pull(image, timeout=None)
        await docker.images.tag(image, name, tag=version)
