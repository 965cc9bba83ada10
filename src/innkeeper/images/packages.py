"""Builds an agent's image from package registries alone: base, build container, pruning, commit."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import aiodocker

from innkeeper.images.bootstrap import base_image
from innkeeper.images.catalogue import tag_of
from innkeeper.images.engine import AGENT_LABEL, RECIPE_LABEL, RELEASE_LABEL, translated
from innkeeper.images.known import BASE
from innkeeper.images.locks import locked
from innkeeper.images.problems import BuildDiskFull
from innkeeper.images.recipes import Recipe, User
from innkeeper.images.registries import Machine
from innkeeper.images.sources import distribution
from innkeeper.images.stage import staged

_ETC = Path("/etc")


async def build_from_packages(
    docker: aiodocker.Docker,
    recipe: Recipe,
    *,
    fingerprint: str,
    work_dir: Path,
    progress: Callable[[str], None],
) -> None:
    """Make and tag the recipe's image; the caller holds the agent's lock."""
    await _check_space(docker, recipe, work_dir)
    host = distribution(_ETC)
    with _scratch(work_dir, recipe.agent) as scratch:
        settings = scratch / "settings"
        settings.mkdir(mode=0o755)
        machine = Machine(environ=os.environ, home=Path.home(), etc=_ETC)
        machine.write(settings, sources_list=host.as_sources_list())
        async with locked(work_dir / "base.lock", waiting=lambda: progress("waiting for the base image")):
            base = await base_image(
                docker, BASE, distribution=host, settings=settings, scratch=scratch, progress=progress
            )
        async with staged(docker, image=base, name=recipe.agent, mount=settings, progress=progress) as stage:
            await stage.run(recipe.steps, version=recipe.version)
            await stage.prune(recipe.prune)
            progress("committing the image")
            await stage.commit(tag=tag_of(recipe), labels=_labels(recipe, fingerprint), config=_config(recipe))


def _labels(recipe: Recipe, fingerprint: str) -> Mapping[str, str]:
    return {RECIPE_LABEL: fingerprint, AGENT_LABEL: recipe.agent, RELEASE_LABEL: recipe.version}


def _config(recipe: Recipe) -> Mapping[str, object]:
    path = "/usr/local/bin:/usr/bin:/bin"
    return {
        "User": User.AGENT.value,
        "WorkingDir": recipe.workdir,
        "Env": [f"PATH={path}", *(f"{key}={value}" for key, value in recipe.env.items())],
        "Cmd": list(recipe.command),
        "StopSignal": "SIGTERM",
    }


@contextlib.contextmanager
def _scratch(work_dir: Path, agent: str) -> Iterator[Path]:
    """An empty folder for this build, rid of what interrupted builds of the agent left."""
    prefix = f"{agent}-build-"
    for left in work_dir.glob(f"{prefix}*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=work_dir, prefix=prefix) as folder:
        yield Path(folder)


async def _check_space(docker: aiodocker.Docker, recipe: Recipe, work_dir: Path) -> None:
    with translated("asking for the Engine's folder"):
        engine_root = Path((await docker.system.info())["DockerRootDir"])
    for folder in (work_dir, engine_root):
        if not folder.is_dir():  # an Engine elsewhere: its disk can't be seen from here
            continue
        free_mb = shutil.disk_usage(folder).free // 1_000_000
        if free_mb < recipe.disk_mb + BASE.disk_mb:
            raise BuildDiskFull(
                f"{folder} has {free_mb} MB left; building {recipe.agent} needs {recipe.disk_mb + BASE.disk_mb}."
            )
