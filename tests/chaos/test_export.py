"""`kill -9` of the control plane while a tenant is frozen for its export: the next one thaws it, and ends the work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiodocker
import pytest

from tests.support.installation import Installation, installed
from tests.support.tiny_image import PORT, tiny_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

FILES = 12_000
"""To look at each of them takes a tenth of a second or more, for so long the tenant is frozen."""
TRIES = 10
THAWED_WITHIN_S = 25


async def test_who_was_frozen_when_we_were_killed_is_thawed_by_the_next() -> None:
    async with aiodocker.Docker(url="unix:///var/run/docker.sock") as docker, installed() as inn:
        image = await tiny_image(docker)
        await inn.create(
            "t",
            agent="custom",
            limits={"memory_mb": 64, "cpus": 0.5, "pids": 64},
            custom={"image": image, "port": PORT, "health_path": "/health"},
        )
        await asyncio.to_thread(fill, inn.data / "tenants" / "t" / "persistence")
        export = ""
        for _ in range(TRIES):
            async with inn.api() as api:
                export = (await api.post("/v1/tenants/t/exports")).json()["id"]
            if await killed_while_frozen(inn, docker, export):
                break
        else:
            raise AssertionError("it was never caught frozen")
        assert await status(inn, docker) == "paused", "nobody is there to thaw it"
        await inn.start()
        async with asyncio.timeout(THAWED_WITHIN_S):
            while await status(inn, docker) != "running":
                await asyncio.sleep(0.1)
        async with inn.api() as api:
            ended = (await api.get(f"/v1/operations/{export}", params={"wait": 120})).json()
            assert ended["status"] == "done", ended
            whole = await api.get(f"/v1/tenants/t/exports/{export}")
            assert len(whole.content) == ended["result"]["bytes"]
        assert (await inn.show("t"))["ready"]
        assert await status(inn, docker) == "running"


def fill(persistence: Path) -> None:
    """Many small files."""
    for number in range(FILES):
        folder = persistence / f"{number // 1000}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}").write_bytes(b"1")


async def killed_while_frozen(inn: Installation, docker: aiodocker.Docker, export: str) -> bool:
    """Whether it was killed as it had the tenant frozen; False: the export was over before that was seen."""
    while True:
        if await status(inn, docker) == "paused":
            inn.kill()
            if await status(inn, docker) == "paused":
                return True
            await inn.start()
            return False
        async with inn.api() as api:
            if (await api.get(f"/v1/operations/{export}")).json()["status"] in ("done", "failed"):
                return False


async def status(inn: Installation, docker: aiodocker.Docker) -> str:
    """What the Engine says of the one container."""
    (shown,) = await inn.containers(docker)
    return str(shown["State"]["Status"])
