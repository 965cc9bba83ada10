"""Images as files, as the Engine saves them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import aiodocker
import aiohttp

from innkeeper.core.errors import ImageMissing, RuntimeUnavailable


class EngineImages:
    """The core's `SavedImages`, from the Engine at this socket."""

    def __init__(self, socket: str) -> None:
        self._url = f"unix://{socket}"

    async def names(self, image: str) -> Sequence[str]:
        """The tags that stand for this image here; none of one that isn't here."""
        try:
            async with aiodocker.Docker(url=self._url) as docker:
                found = await docker.images.inspect(image)
        except aiodocker.DockerError as error:
            if error.status == 404:
                return ()
            raise RuntimeUnavailable(f"The Engine didn't tell about {image}: {error.message}.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeUnavailable(f"The Engine doesn't answer: {error}.") from error
        return sorted(found.get("RepoTags") or ())

    async def saved(self, name: str) -> AsyncIterator[bytes]:
        """The image by that name in one file, with the name."""
        try:
            async with (
                aiodocker.Docker(url=self._url) as docker,
                docker.images.export_image(name) as content,
            ):
                async for piece in content.iter_chunked(1 << 20):
                    yield piece
        except aiodocker.DockerError as error:
            if error.status == 404:
                raise ImageMissing(f"{name} isn't on this host.") from error
            raise RuntimeUnavailable(f"The Engine didn't save {name}: {error.message}.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeUnavailable(f"The Engine stopped saving {name}: {error}.") from error


class NoImages:
    """For a runtime that has none."""

    async def names(self, image: str) -> Sequence[str]:
        """None."""
        return ()

    def saved(self, name: str) -> AsyncIterator[bytes]:
        """ImageMissing."""
        raise ImageMissing(f"{name} isn't on this host: its runtime has no images.")
