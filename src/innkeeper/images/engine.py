"""The border to the Docker Engine for image building: its errors in our words, its images by label."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import aiodocker

from innkeeper.core.errors import ImageBuildFailed, RuntimeUnavailable
from innkeeper.images.problems import BuildDiskFull

RECIPE_LABEL = "innkeeper.recipe"
AGENT_LABEL = "innkeeper.agent"
RELEASE_LABEL = "innkeeper.release"

_UNREACHABLE = 900  # aiodocker's own status for "no connection"


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the Engine says while `doing` something into an error for people."""
    try:
        yield
    except aiodocker.DockerError as error:
        if error.status == _UNREACHABLE:
            raise RuntimeUnavailable(f"The Docker Engine doesn't answer: {error.message}") from error
        if "no space left on device" in error.message:
            raise BuildDiskFull(f"The disk filled up while {doing}.") from error
        raise ImageBuildFailed(f"The Docker Engine failed while {doing}: {error.message}") from error


async def image_or_none(docker: aiodocker.Docker, name: str) -> dict[str, Any] | None:
    """What the Engine knows about an image, or None when it has none of that name."""
    try:
        return await docker.images.inspect(name)
    except aiodocker.DockerError as error:
        if error.status == 404:
            return None
        raise


def labels_of(image: Mapping[str, Any]) -> dict[str, str]:
    """An inspected image's labels."""
    return (image.get("Config") or {}).get("Labels") or {}
