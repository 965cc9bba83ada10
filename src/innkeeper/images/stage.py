"""The build container: steps run inside it, unprivileged where they can be, and then it becomes an image."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiodocker
from aiodocker.containers import DockerContainer

from innkeeper.core.errors import ImageBuildFailed
from innkeeper.images.engine import translated
from innkeeper.images.recipes import Prune, Step, User, prune_argv
from innkeeper.images.registries import BUILD, ENVIRONMENT, MOUNT

_TAIL_BYTES = 2000
# What dpkg and chown need; the steps that run package code run as an ordinary user, which has none of it.
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A running build container."""

    container: DockerContainer
    progress: Callable[[str], None]

    async def run(self, steps: Sequence[Step], *, version: str = "") -> None:
        """Run the steps one after the other; the first that fails is an ImageBuildFailed with its last lines."""
        for step in steps:
            says = step.says.format(version=version)
            self.progress(says)
            await self._run([part.replace("{version}", version) for part in step.argv], step.user, says)

    async def prune(self, rules: Sequence[Prune]) -> None:
        """Remove what the rules name."""
        self.progress("pruning")
        for rule in rules:
            for argv in prune_argv(rule):
                await self._run(argv, User.ROOT, "pruning")

    async def commit(self, *, tag: str, labels: Mapping[str, str], config: Mapping[str, object]) -> str:
        """Make the container's files an image under `repository:tag` and return its ID."""
        repository, _, version = tag.rpartition(":")
        with translated("committing the image"):
            made = await self.container.commit(
                repository=repository,
                tag=version,
                config={"Labels": dict(labels), **config},
                timeout=None,
            )
        return str(made["Id"])

    async def _run(self, argv: Sequence[str], user: User, says: str) -> None:
        with translated(says):
            execution = await self.container.exec(argv, user=user.value, environment=dict(ENVIRONMENT))
            tail = b""
            async with execution.start() as stream:
                while message := await stream.read_out():
                    tail = (tail + message.data)[-_TAIL_BYTES:]
            code = (await execution.inspect())["ExitCode"]
        if code != 0:
            raise ImageBuildFailed(
                f"{argv[0]} ended with {code} while {says}:\n{tail.decode(errors='replace').strip()}",
                hint="Check that the package registries answer from this machine's containers, then try again.",
            )


@contextlib.asynccontextmanager
async def staged(
    docker: aiodocker.Docker, *, image: str, name: str, mount: Path, progress: Callable[[str], None]
) -> AsyncIterator[Stage]:
    """A build container over `image`, with `mount` read-only inside; it is removed whatever happens."""
    await remove_leftovers(docker, name)
    with translated("starting the build container"):
        container = await docker.containers.create(
            {
                "Image": image,
                "Cmd": ["sleep", "infinity"],
                "User": User.ROOT.value,
                "HostConfig": {
                    "Init": True,
                    "CapDrop": ["ALL"],
                    "CapAdd": list(_CAPABILITIES),
                    "SecurityOpt": ["no-new-privileges"],
                    "PidsLimit": 1024,
                    # Mount points below a tmpfs leave no trace in the image, not even an empty folder.
                    "Tmpfs": {"/tmp": "mode=1777", "/run": "mode=755"},  # noqa: S108 - inside the container
                    "Binds": [f"{mount}:{MOUNT}:ro"],
                    "Mounts": [{"Type": "volume", "Target": BUILD}],
                },
            },
            name=_container_name(name),
        )
    try:
        with translated("starting the build container"):
            await container.start()
        yield Stage(container=container, progress=progress)
    finally:
        with contextlib.suppress(aiodocker.DockerError):
            await container.delete(force=True, v=True)


async def remove_leftovers(docker: aiodocker.Docker, name: str) -> None:
    """Remove the build container of that name which an interrupted build may have left."""
    with translated("removing an earlier build container"):
        try:
            left = await docker.containers.get(_container_name(name))
        except aiodocker.DockerError as error:
            if error.status == 404:
                return
            raise
        await left.delete(force=True, v=True)


def _container_name(name: str) -> str:
    # Not a label: images made from a container inherit its labels, and tenants' containers those of their image.
    return f"innkeeper-build-{name}"
