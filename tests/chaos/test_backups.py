"""`kill -9` of the control plane at random moments of backups: the tenant thaws, and a whole snapshot comes of it."""

from __future__ import annotations

import asyncio
import os
import random

import aiodocker
import httpx2
import pytest

from tests.support.installation import Installation, installed
from tests.support.tiny_image import PORT, tiny_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

ROUNDS = int(os.environ.get("INNKEEPER_TEST_KILLS", "4"))
LONGEST_S = 2.5
"""A backup of something small takes less with its copy and its checks."""
NAME = "alice"


@pytest.mark.soak
async def test_kill_nine_at_random_moments_of_backups() -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    async with aiodocker.Docker(url="unix:///var/run/docker.sock") as docker, installed() as inn:
        await _create(inn, await tiny_image(docker))
        home = inn.data / "tenants" / NAME / "persistence"
        for number in range(300):
            (home / f"f{number}").write_bytes(chance.randbytes(10_000))
        for number in range(ROUNDS):
            (home / "diary").write_text(f"round {number}")
            async with inn.api() as api:
                begun = await api.post(f"/v1/tenants/{NAME}/backups")
            assert begun.status_code == 202, begun.text
            await asyncio.sleep(chance.uniform(0, LONGEST_S))
            inn.kill()
            await inn.start()
            where = f"seed {seed}, round {number}\n{inn.log()[-3000:]}"
            await _thawed(inn, docker, where)
            async with inn.api() as api:
                ended = (await api.get(f"/v1/operations/{begun.json()['id']}", params={"wait": 90})).json()
            assert (ended["status"], ended["error"]) == ("done", None), where
            async with inn.api() as api:
                shown = (await api.get(f"/v1/tenants/{NAME}/backups/{ended['result']['snapshot']}")).json()
            assert shown["good"], where
            assert shown["files"] >= 301, where
        assert list((inn.data / "staging").glob("*")) == []


async def _thawed(inn: Installation, docker: aiodocker.Docker, where: str) -> None:
    """Whoever was frozen when the process died isn't for long."""
    async with asyncio.timeout(40):
        while True:
            [shown] = await inn.containers(docker)
            if shown["State"]["Status"] == "running":
                return
            await asyncio.sleep(0.1)
    raise AssertionError(where)


async def _create(inn: Installation, image: str) -> None:
    custom = {"image": image, "port": PORT, "health_path": "/health"}
    body = {"name": NAME, "agent": "custom", "custom": custom, "wanted": "awake"}
    async with inn.api() as api:
        answer: httpx2.Response = await api.post("/v1/tenants?wait=60", json=body)
    assert answer.json()["status"] == "done", answer.text
