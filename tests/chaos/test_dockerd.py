"""dockerd is restarted under a running control plane: instances are adopted, asleep or awake."""

from __future__ import annotations

import asyncio

import aiodocker
import pytest

from tests.support.installation import Installation, installed
from tests.support.own_engine import own_engine
from tests.support.tiny_image import PORT, tiny_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


async def states(inn: Installation, *names: str) -> list[tuple[str, bool]]:
    async with inn.api() as api:
        tenants = [(await api.get(f"/v1/tenants/{name}")).json() for name in names]
    return [(tenant["state"], tenant["ready"]) for tenant in tenants]


async def test_instances_are_adopted_after_a_restart_of_dockerd() -> None:
    async with (
        own_engine() as engine,
        aiodocker.Docker(url=f"unix://{engine.socket}") as docker,
        installed(docker_socket=engine.socket) as inn,
    ):
        image = await tiny_image(docker)
        for name in ("awake", "paused", "stopped"):
            await inn.create(
                name,
                agent="custom",
                limits={"memory_mb": 64, "cpus": 0.5, "pids": 64},
                custom={"image": image, "port": PORT, "health_path": "/health"},
            )
        async with inn.api() as api:
            for name, tier in (("paused", "pause"), ("stopped", "stop")):
                answer = await api.post(f"/v1/tenants/{name}/sleep", params={"wait": 60}, json={"tier": tier})
                assert answer.json()["status"] == "done"
        before = {shown["Id"] for shown in await inn.containers(docker)}

        await engine.stop()
        await engine.start()

        wanted = [("running", True), ("paused", True), ("stopped", False)]
        async with asyncio.timeout(90):
            while await states(inn, "awake", "paused", "stopped") != wanted:
                await asyncio.sleep(0.1)
        after = await inn.containers(docker)
        assert {shown["Id"] for shown in after} == before, "the same containers, none made anew"
        by_name = {shown["Config"]["Labels"]["innkeeper.tenant"]: shown["State"]["Status"] for shown in after}
        assert by_name == {"awake": "running", "paused": "paused", "stopped": "exited"}
