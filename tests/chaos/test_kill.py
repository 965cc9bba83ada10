"""`kill -9` of the control plane at random moments while tenants come and go: all converges, nothing is left over."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import aiodocker
import httpx2
import pytest

from tests.support.installation import Installation, installed
from tests.support.tiny_image import PORT, tiny_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

ROUNDS = int(os.environ.get("INNKEEPER_TEST_KILLS", "6"))
LONGEST_S = 1.2
"""A create or delete of the tiny agent takes less than half a second: the kill comes before, within or after it."""


async def test_kill_nine_at_random_moments() -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    async with aiodocker.Docker(url="unix:///var/run/docker.sock") as docker, installed() as inn:
        image = await tiny_image(docker)
        wanted: dict[str, bool] = {}
        for number in range(ROUNDS):
            name = f"t{number}"
            wanted[name] = True
            await _until_killed(inn, chance, _create(inn, name, image))
            if chance.random() < 0.5:
                victim = chance.choice(sorted(wanted))
                wanted[victim] = False
                await _until_killed(inn, chance, _delete(inn, victim))
        for name, there in wanted.items():
            if there:
                await _create(inn, name, image)
            else:
                await _delete(inn, name)
        await _settled(inn)

        survivors = sorted(name for name, there in wanted.items() if there)
        where = f"seed {seed}\n{inn.log()[-2000:]}"
        async with inn.api() as api:
            tenants = (await api.get("/v1/tenants", params={"limit": 500})).json()["items"]
        assert sorted(tenant["name"] for tenant in tenants) == survivors, where
        assert all(tenant["ready"] for tenant in tenants), where
        containers = await inn.containers(docker)
        assert sorted(shown["Config"]["Labels"]["innkeeper.tenant"] for shown in containers) == survivors, where
        assert inn.folders() == survivors, where

        for name in survivors:
            await _delete(inn, name)
        await _settled(inn)
        assert await inn.containers(docker) == []
        assert inn.folders() == []
        async with asyncio.timeout(30):
            while await inn.networks(docker) or inn.has_firewall():
                await asyncio.sleep(0.1)


async def _until_killed(inn: Installation, chance: random.Random, work: Coroutine[Any, Any, None]) -> None:
    """Begin some work, kill the control plane at a random moment of it, and start it again."""
    task = asyncio.create_task(work)
    await asyncio.sleep(chance.uniform(0, LONGEST_S))
    inn.kill()
    with suppress(httpx2.HTTPError):
        await task
    await inn.start()


async def _create(inn: Installation, name: str, image: str) -> None:
    body = {
        "name": name,
        "agent": "custom",
        "limits": {"memory_mb": 64, "cpus": 0.5, "pids": 64},
        "custom": {"image": image, "port": PORT, "health_path": "/health"},
    }
    async with inn.api() as api:
        answer = await api.post("/v1/tenants", json=body, headers={"Idempotency-Key": f"create-{name}"})
    assert answer.status_code in (202, 409), answer.text


async def _delete(inn: Installation, name: str) -> None:
    async with inn.api() as api:
        answer = await api.delete(f"/v1/tenants/{name}", params={"purge": True})
    assert answer.status_code in (202, 404), answer.text


async def _settled(inn: Installation) -> None:
    """Wait until no operation is open."""
    async with inn.api() as api, asyncio.timeout(120):
        while True:
            operations = (await api.get("/v1/operations", params={"limit": 500})).json()["items"]
            if all(operation["status"] in ("done", "failed") for operation in operations):
                return
            await asyncio.sleep(0.1)
