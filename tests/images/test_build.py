"""Images for real: built on the real base, pulled from a registry on the loopback, found again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from innkeeper.core.errors import ImageBuildFailed
from innkeeper.images import Built, ImageBuilder, Source
from innkeeper.images.known import RECIPES
from innkeeper.images.problems import BuildDiskFull, RegistryUnreachable
from innkeeper.images.recipes import Prune, Recipe, Step, User
from tests.images.tiny_registry import TinyRegistry
from tests.support.serving import serving

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]  # where nothing is there yet, the base is made first


@pytest.fixture
async def docker() -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker() as client:
        yield client


@pytest.fixture
async def recipe(docker: aiodocker.Docker) -> AsyncIterator[Recipe]:
    """A recipe of a moment: one file that stays, one that is pruned."""
    agent = f"imgtest-{secrets.token_hex(4)}"
    yield Recipe(
        agent=agent,
        version="1.2.3",
        minimum="1.0",
        minimum_because="it is.",
        official=None,
        steps=(
            Step(
                says="making room",
                argv=("install", "--directory", "--owner=1000", "--group=1000", "/run/build", "/opt/agent"),
                user=User.ROOT,
            ),
            Step(says="fetching {version}", argv=("cp", "/etc/hostname", "/opt/agent/kept-{version}")),
            Step(says="fetching more", argv=("cp", "/etc/hostname", "/opt/agent/index.map")),
            Step(says="caching", argv=("cp", "/etc/hostname", "/run/build/cached")),
        ),
        prune=(Prune(root="/opt/agent", files=("*.map",)),),
        env={"COLOUR": "red"},
        workdir="/opt/agent",
        command=("ls",),
        disk_mb=1,
    )
    built, pulled = {"label": [f"innkeeper.agent={agent}"]}, {"reference": [f"innkeeper/{agent}"]}
    for which in (built, pulled):
        for image in await docker.images.list(filters=which):
            await docker.images.delete(image["Id"], force=True)


Builders = Callable[[Recipe], ImageBuilder]


@pytest.fixture
def builder_of(docker: aiodocker.Docker, tmp_path: Path) -> Builders:
    return lambda recipe: ImageBuilder(docker=docker, work_dir=tmp_path, recipes={recipe.agent: recipe})


async def run(docker: aiodocker.Docker, image: str, *command: str) -> str:
    """What a program in the image writes, under the harshest of profiles."""
    config: dict[str, Any] = {
        "Image": image,
        "HostConfig": {"ReadonlyRootfs": True, "CapDrop": ["ALL"], "NetworkMode": "none"},
        **({"Cmd": list(command)} if command else {}),
    }
    container = await docker.containers.create(config, name=f"imgtest-{secrets.token_hex(4)}")
    try:
        await container.start()
        ended = await container.wait()
        output = "".join(await container.log(stdout=True, stderr=True))
        assert ended["StatusCode"] == 0, output
        return output
    finally:
        await container.delete(force=True, v=True)


async def build_containers(docker: aiodocker.Docker, recipe: Recipe) -> list[str]:
    every = await docker.containers.list(all=True)
    names = [name for container in every for name in container["Names"]]
    return [name for name in names if recipe.agent in name]


def left_in(work_dir: Path) -> set[str]:
    return {path.name for path in work_dir.iterdir()}


async def test_a_build_leaves_the_image_and_nothing_else(
    docker: aiodocker.Docker, recipe: Recipe, builder_of: Builders, tmp_path: Path
) -> None:
    said: list[str] = []
    built = await builder_of(recipe).build(recipe.agent, progress=said.append)

    assert built == Built(
        agent=recipe.agent, version="1.2.3", image=built.image, source=Source.PACKAGES, size_mb=built.size_mb
    )
    assert "fetching 1.2.3" in said
    assert await run(docker, built.image) == "kept-1.2.3\n"
    seen = await run(docker, built.image, "sh", "-c", "id -u; echo $COLOUR; ls -A /run /tmp; stat -c %u:%a /data")
    assert seen.splitlines()[:2] == ["1000", "red"]
    assert seen.splitlines()[-1] == "1000:700"
    assert "innkeeper" not in seen
    assert "cached" not in seen
    config = (await docker.images.inspect(built.image))["Config"]
    assert not config.get("Healthcheck")
    assert not config.get("Volumes")
    assert config["User"] == "1000:1000"
    assert left_in(tmp_path) == {f"{recipe.agent}.lock", "base.lock"}
    assert await build_containers(docker, recipe) == []


async def test_what_is_built_is_found_and_not_built_again(recipe: Recipe, builder_of: Builders) -> None:
    first = await builder_of(recipe).build(recipe.agent, progress=lambda _: None)
    said: list[str] = []
    assert await builder_of(recipe).build(recipe.agent, progress=said.append) == first
    assert await builder_of(recipe).build(recipe.agent, source=Source.PACKAGES, progress=said.append) == first
    assert said == []
    assert await builder_of(recipe).list() == [first]

    other = await builder_of(replace(recipe, env={"COLOUR": "blue"})).build(recipe.agent, progress=said.append)
    assert other.image != first.image
    assert "committing the image" in said


async def test_of_two_at_once_one_builds(recipe: Recipe, builder_of: Builders) -> None:
    said: list[list[str]] = [[], []]
    builds = [builder_of(recipe).build(recipe.agent, progress=lines.append) for lines in said]
    one, other = await asyncio.gather(*builds)
    assert one == other
    assert sorted("committing the image" in lines for lines in said) == [False, True]


async def test_a_failed_step_tells_its_last_words_and_leaves_no_image(
    docker: aiodocker.Docker, recipe: Recipe, builder_of: Builders, tmp_path: Path
) -> None:
    broken = replace(recipe, steps=(*recipe.steps, Step(says="reaching for the moon", argv=("ls", "/moon"))))
    with pytest.raises(ImageBuildFailed, match=r"reaching for the moon:\n.*No such file") as caught:
        await builder_of(broken).build(recipe.agent, progress=lambda _: None)
    assert caught.value.hint
    assert await builder_of(recipe).list() == []
    assert await build_containers(docker, recipe) == []
    assert left_in(tmp_path) == {f"{recipe.agent}.lock", "base.lock"}


async def test_what_an_interrupted_build_left_is_cleared_away(
    docker: aiodocker.Docker, recipe: Recipe, builder_of: Builders, tmp_path: Path
) -> None:
    """As after a kill: its container still runs, its folder is still there."""
    await builder_of(recipe).build(recipe.agent, progress=lambda _: None)
    left = await docker.containers.create(
        {"Image": f"innkeeper/{recipe.agent}:1.2.3", "Cmd": ["sleep", "infinity"]},
        name=f"innkeeper-build-{recipe.agent}",
    )
    await left.start()
    (tmp_path / f"{recipe.agent}-build-abc" / "base-x" / "root").mkdir(parents=True)
    await builder_of(replace(recipe, env={})).build(recipe.agent, progress=lambda _: None)
    assert await build_containers(docker, recipe) == []
    assert left_in(tmp_path) == {f"{recipe.agent}.lock", "base.lock"}


async def test_a_registry_that_answers_goes_first_and_is_pinned_by_digest(
    docker: aiodocker.Docker, recipe: Recipe, builder_of: Builders
) -> None:
    registry = TinyRegistry(repository="them/agent", tag="1.2.3", marker=recipe.agent)
    async with serving(registry) as url:
        official = replace(recipe, official=f"{url.removeprefix('http://')}/them/agent")
        said: list[str] = []
        built = await builder_of(official).build(recipe.agent, progress=said.append)
        pinned = f"{official.official}@{registry.digest}"
        assert (built.image, built.source) == (pinned, Source.REGISTRY)
        assert said == [f"pulling {pinned}"]
        registry.asked.clear()
        assert await builder_of(official).build(recipe.agent, progress=said.append) == built
        assert await builder_of(official).list() == [built]
        assert registry.asked == []
    assert (await docker.images.inspect(pinned))["Id"]
    await docker.images.delete(pinned, force=True)


async def test_a_registry_that_doesnt_is_passed_over_or_reported(recipe: Recipe, builder_of: Builders) -> None:
    registry = TinyRegistry(repository="them/agent", tag="9.9.9", marker=recipe.agent)  # has another version alone
    async with serving(registry) as url:
        official = replace(recipe, official=f"{url.removeprefix('http://')}/them/agent")
        with pytest.raises(RegistryUnreachable):
            await builder_of(official).build(recipe.agent, source=Source.REGISTRY, progress=lambda _: None)
        said: list[str] = []
        built = await builder_of(official).build(recipe.agent, progress=said.append)
    assert built.source is Source.PACKAGES
    assert said[0].startswith("building from packages: ")


async def test_a_full_disk_is_seen_before_anything_is_done(recipe: Recipe, builder_of: Builders) -> None:
    with pytest.raises(BuildDiskFull, match="MB left"):
        await builder_of(replace(recipe, disk_mb=10**9)).build(recipe.agent, progress=lambda _: None)


@pytest.mark.parametrize("agent", sorted(RECIPES))
async def test_the_shipped_images_are_there_after_a_build(docker: aiodocker.Docker, agent: str, tmp_path: Path) -> None:
    built = await ImageBuilder(docker=docker, work_dir=tmp_path).build(agent, progress=lambda _: None)
    assert built in await ImageBuilder(docker=docker, work_dir=tmp_path).list()
    assert 100 < built.size_mb < 1200


async def test_nanobot_has_its_vocabulary_without_a_network(docker: aiodocker.Docker) -> None:
    code = "import tiktoken; print(tiktoken.get_encoding('cl100k_base').encode('hello world'))"
    shown = await run(docker, "innkeeper/nanobot:0.3.5", "/opt/agent/bin/python", "-c", code)
    assert shown == "[15339, 1917]\n"


async def test_the_base_is_shared(docker: aiodocker.Docker) -> None:
    base = await docker.images.inspect("innkeeper/base:bookworm")
    images = [await docker.images.inspect(tag) for tag in ("innkeeper/openclaw:2026.9.6", "innkeeper/nanobot:0.3.5")]
    # An image that was in use as everything else was removed stands on the base before this one.
    on_it = [image["RootFS"]["Layers"] for image in images if image["Created"] > base["Created"]]
    assert on_it
    for layers in on_it:
        assert layers[: len(base["RootFS"]["Layers"])] == base["RootFS"]["Layers"]
