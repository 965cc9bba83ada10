"""Makes the agents' release images: from the official registry where one answers, else from packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import aiodocker

from innkeeper.core.errors import ImageBuildFailed
from innkeeper.images import catalogue, official
from innkeeper.images.catalogue import Built, Source, tag_of
from innkeeper.images.known import BASE, RECIPES
from innkeeper.images.locks import locked
from innkeeper.images.packages import build_from_packages
from innkeeper.images.problems import RegistryUnreachable
from innkeeper.images.recipes import Recipe, fingerprint, recipe_for


class ImageBuilder:
    """Builds, and finds again, the images that tenants run; safe to use from several processes at once."""

    def __init__(self, *, docker: aiodocker.Docker, work_dir: Path, recipes: Mapping[str, Recipe] = RECIPES) -> None:
        self._docker = docker
        self._work_dir = work_dir
        self._recipes = recipes

    async def build(
        self,
        agent: str,
        *,
        version: str | None = None,
        source: Source = Source.AUTO,
        progress: Callable[[str], None],
    ) -> Built:
        """The image of an agent's version, made if it isn't there yet."""
        recipe = recipe_for(agent, version, self._recipes)
        if built := await self._find(recipe, source):
            return built
        self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._work_dir / f"{agent}.lock"
        async with locked(lock, waiting=lambda: progress("waiting for another build of the same agent")):
            if built := await self._find(recipe, source):  # whoever held the lock has made it
                return built
            if source is Source.PACKAGES or not await self._pull(recipe, source, progress):
                await build_from_packages(
                    self._docker,
                    recipe,
                    fingerprint=fingerprint(BASE, recipe),
                    work_dir=self._work_dir,
                    progress=progress,
                )
            if built := await self._find(recipe, source):
                return built
        raise ImageBuildFailed(f"{tag_of(recipe)} vanished right after it was made.", hint="Build it again.")

    async def list(self) -> list[Built]:
        """Every image here that tenants could run."""
        return await catalogue.find_all(self._docker, self._recipes.keys())

    async def _find(self, recipe: Recipe, source: Source) -> Built | None:
        return await catalogue.find(self._docker, recipe, fingerprint=fingerprint(BASE, recipe), source=source)

    async def _pull(self, recipe: Recipe, source: Source, progress: Callable[[str], None]) -> bool:
        """Whether the official image could be had; under AUTO, not being able to is no error."""
        try:
            pinned = await official.pinned(self._docker, recipe)
        except RegistryUnreachable as error:
            if source is Source.REGISTRY:
                raise
            progress(f"building from packages: {error.message}")
            return False
        progress(f"pulling {pinned}")
        await official.pull(self._docker, pinned, tag=tag_of(recipe))
        return True
