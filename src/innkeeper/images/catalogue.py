"""The images that are here: what they are of, where they came from, and whether they are still right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiodocker

from innkeeper.core.release import version_key
from innkeeper.images.engine import RECIPE_LABEL, image_or_none, labels_of, translated
from innkeeper.images.recipes import Recipe

_REPOSITORY = "innkeeper"


class Source(StrEnum):
    """Where an image comes from; AUTO asks the registry first."""

    AUTO = "auto"
    REGISTRY = "registry"
    PACKAGES = "packages"


@dataclass(frozen=True, kw_only=True)
class Built:
    """An agent's image that is on this host."""

    agent: str
    version: str
    image: str
    """The image's ID, or repository@digest when it came from a registry."""
    source: Source
    size_mb: int


def tag_of(recipe: Recipe) -> str:
    """The name that people know the image by; tenants are pinned to what it stands for, never to it."""
    return f"{_REPOSITORY}/{recipe.agent}:{recipe.version}"


async def find(docker: aiodocker.Docker, recipe: Recipe, *, fingerprint: str, source: Source) -> Built | None:
    """The recipe's image, if it is here, comes from `source`, and was made from these very inputs."""
    with translated("looking for the image"):
        image = await image_or_none(docker, tag_of(recipe))
    if image is None:
        return None
    built = _built(recipe.agent, recipe.version, image)
    if source not in {Source.AUTO, built.source}:
        return None
    if built.source is Source.PACKAGES and labels_of(image)[RECIPE_LABEL] != fingerprint:
        return None
    return built


async def find_all(docker: aiodocker.Docker, agents: Collection[str]) -> list[Built]:
    """Every image of these agents, the newest version of each first."""
    with translated("listing images"):
        named = await docker.images.list(filters={"reference": [f"{_REPOSITORY}/*"]})
        # The list shows no digests of other names than the one asked for.
        images = [await image_or_none(docker, image["Id"]) for image in named]
    found = []
    for image in filter(None, images):
        for tag in image["RepoTags"] or ():
            name, _, version = tag.rpartition(":")
            agent = name.removeprefix(f"{_REPOSITORY}/")
            if agent in agents:
                found.append(_built(agent, version, image))
    found.sort(key=lambda built: version_key(built.version), reverse=True)
    return sorted(found, key=lambda built: built.agent)


def _built(agent: str, version: str, image: Mapping[str, Any]) -> Built:
    # Ours carry the recipe's label; a pulled one is known by the digest that its registry gave it.
    ours = RECIPE_LABEL in labels_of(image)
    digests = [
        digest for digest in image.get("RepoDigests") or () if not ours and not digest.startswith(f"{_REPOSITORY}/")
    ]
    return Built(
        agent=agent,
        version=version,
        image=str(digests[0] if digests else image["Id"]),
        source=Source.PACKAGES if ours else Source.REGISTRY,
        size_mb=round(image["Size"] / 1_000_000),
    )
