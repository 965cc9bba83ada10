"""The base image: debootstrap's smallest system, then packages with security updates added inside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import aiodocker
from aiodocker.jsonstream import json_stream_list

from innkeeper.core.errors import ImageBuildFailed
from innkeeper.images.engine import RECIPE_LABEL, image_or_none, labels_of, translated
from innkeeper.images.problems import ToolMissing
from innkeeper.images.recipes import Base, Step, User, fingerprint
from innkeeper.images.sources import Distribution
from innkeeper.images.stage import staged

_CHUNK_BYTES = 1 << 20
_TAIL_LINES = 8
_TOOLS = ("debootstrap", "setpriv", "unshare", "tar")


async def base_image(
    docker: aiodocker.Docker,
    base: Base,
    *,
    distribution: Distribution,
    settings: Path,
    scratch: Path,
    progress: Callable[[str], None],
) -> str:
    """The base image's ID, made if it isn't there; the caller holds the base's lock."""
    tag = f"innkeeper/base:{distribution.suite}"
    recipe = fingerprint(base)
    with translated("looking for the base image"):
        found = await image_or_none(docker, tag)
    if found is not None and labels_of(found).get(RECIPE_LABEL) == recipe:
        return str(found["Id"])
    _check_tools()
    with tempfile.TemporaryDirectory(dir=scratch, prefix="base-") as folder:
        root = Path(folder) / "root"
        progress(f"bootstrapping {distribution.suite}")
        await _debootstrap(base, distribution, root)
        progress("importing the base")
        bare = await _import(docker, root, leave_out=base.leave_out)
    try:
        async with staged(docker, image=bare, name="base", mount=settings, progress=progress) as stage:
            await stage.run((*_apt_steps(base), *base.steps))
            await stage.prune(base.prune)
            return await stage.commit(
                tag=tag, labels={RECIPE_LABEL: recipe}, config={"Cmd": ["bash"], "User": User.ROOT.value}
            )
    finally:
        await _forget(docker, bare)


def _apt_steps(base: Base) -> tuple[Step, ...]:
    return (
        Step(says="reading package lists", argv=("apt-get", "update"), user=User.ROOT),
        Step(says="applying security updates", argv=("apt-get", "--yes", "upgrade"), user=User.ROOT),
        Step(
            says="installing the base's packages",
            argv=("apt-get", "--yes", "install", *base.packages),
            user=User.ROOT,
        ),
    )


def _check_tools() -> None:
    if os.geteuid() != 0:
        raise ToolMissing("Building from packages needs root.", hint="Run as root, or build from a registry.")
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            raise ToolMissing(
                f"{tool} isn't installed, and building from packages needs it.",
                hint="apt-get install debootstrap util-linux tar",
            )


async def _debootstrap(base: Base, distribution: Distribution, root: Path) -> None:
    # Namespaces of its own, and a death signal: killed half way it leaves neither mounts nor processes behind.
    process = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL",
        "unshare", "--mount", "--pid", "--fork", "--kill-child", "--",
        "debootstrap", "--variant=minbase", f"--include={','.join(base.bootstrap)}",
        distribution.suite, str(root), distribution.mirror,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_harmless_environment(),
    )  # fmt: skip
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        assert process.stdout is not None  # noqa: S101 - it is piped
        async for line in process.stdout:
            tail.append(line.decode(errors="replace").rstrip())
        code = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if code != 0:
        raise ImageBuildFailed(
            f"debootstrap ended with {code}:\n" + "\n".join(tail),
            hint="Check that the distribution's mirror answers and that the disk isn't full.",
        )


def _harmless_environment() -> dict[str, str]:
    """Ours without what packages' scripts, which run with it, have no business to see."""
    secret = re.compile(r"INNKEEPER_.*|.*_(KEY|TOKEN|SECRET|PASSWORD)")
    return {name: value for name, value in os.environ.items() if not secret.fullmatch(name)}


async def _import(docker: aiodocker.Docker, root: Path, *, leave_out: Sequence[str]) -> str:
    """Hand the folder to the Engine as a one-layer image without a name."""
    process = await asyncio.create_subprocess_exec(
        "tar", "--create", "--numeric-owner", "--one-file-system",
        *(f"--exclude={pattern}" for pattern in leave_out), f"--directory={root}", ".",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - it is piped
    try:
        with translated("importing the base image"):
            async with docker._query(  # aiodocker has no call of its own for this endpoint
                "images/create",
                "POST",
                params={"fromSrc": "-"},
                headers={"Content-Type": "application/x-tar"},
                data=_chunks(process.stdout),
                timeout=None,
            ) as response:
                lines = await json_stream_list(response)
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    image = next((line["status"] for line in reversed(lines) if "status" in line), None)
    if code != 0 or image is None:
        raise ImageBuildFailed(f"The base system could not be imported: {lines[-1:]}, tar ended with {code}.")
    return str(image)


async def _chunks(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await stream.read(_CHUNK_BYTES):
        yield chunk


async def _forget(docker: aiodocker.Docker, image: str) -> None:
    # Only its name-less tag goes: the layer stays, as the parent of the base image.
    with contextlib.suppress(aiodocker.DockerError):
        await docker.images.delete(image, noprune=True)
