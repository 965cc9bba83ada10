"""Sleep and wake on real Docker: kill -9, hands that meddle and orders that cross; what is told stays true."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from typing import Any

import aiodocker
import httpx2
import pytest

from tests.support.installation import Installation, installed
from tests.support.tiny_image import PORT, tiny_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

TENANTS = int(os.environ.get("INNKEEPER_TEST_SLEEPERS", "20"))
KILLS = 4
ROUND_S = 1.5
"""Long enough for most of twenty tenants to be on their way up or down when the kill comes."""
SETTLES_WITHIN_S = 90
STATES = {
    "running": "running",
    "paused": "paused",
    "exited": "stopped",
    "created": "stopped",
    "removing": "absent",
    "dead": "absent",
}


@pytest.fixture
async def docker() -> Any:
    async with aiodocker.Docker(url="unix:///var/run/docker.sock") as engine:
        yield engine


async def house_of(inn: Installation, docker: aiodocker.Docker, count: int, *, pids: int = 64) -> list[str]:
    """So many tiny tenants that anybody may ask; each needs a process for each request."""
    image = await tiny_image(docker)
    names = [f"t{number}" for number in range(count)]
    turns = asyncio.Semaphore(4)

    async def create(name: str) -> None:
        async with turns:
            await inn.create(
                name,
                agent="custom",
                access="open",
                limits={"memory_mb": 64, "cpus": 0.5, "pids": pids},
                sleep={"pause_after_s": None, "page_after_s": None, "stop_after_s": None},
                custom={"image": image, "port": PORT, "health_path": "/health"},
            )

    await asyncio.gather(*map(create, names))
    return names


async def ask(inn: Installation, name: str) -> int | str:
    """One request through the edge; its status, or how the connection ended."""
    async with inn.edge(name) as edge:
        try:
            answer = await edge.get("/health")
        except httpx2.HTTPError as error:
            return type(error).__name__
        return answer.status_code


async def order(inn: Installation, name: str, path: str, body: dict[str, Any] | None = None) -> None:
    """Told or not: the control plane may be gone this very moment."""
    async with inn.api() as api:
        try:
            answer = await api.post(f"/v1/tenants/{name}/{path}", json=body)
        except httpx2.HTTPError:
            return
        assert answer.status_code in (202, 409), answer.text


async def told(inn: Installation) -> dict[str, str]:
    """What the API says of every tenant."""
    async with inn.api() as api:
        found = (await api.get("/v1/tenants", params={"limit": 500})).json()["items"]
    return {tenant["name"]: tenant["state"] for tenant in found}


async def true(inn: Installation, docker: aiodocker.Docker) -> dict[str, str]:
    """What the Engine says."""
    containers = await inn.containers(docker)
    found = {each["Config"]["Labels"]["innkeeper.tenant"]: STATES[each["State"]["Status"]] for each in containers}
    assert len(found) == len(containers), "two instances of one tenant"
    return found


async def settled(inn: Installation, docker: aiodocker.Docker) -> dict[str, str]:
    """Wait until nothing is under way; what is told then, which is what is true."""
    async with inn.api() as api:
        for _ in range(SETTLES_WITHIN_S * 5):
            operations = (await api.get("/v1/operations", params={"limit": 500})).json()["items"]
            under_way = [each for each in operations if each["status"] not in ("done", "failed")]
            says = await told(inn)
            is_so = dict.fromkeys(says, "absent") | await true(inn, docker)
            if not under_way and says == is_so:
                return says
            await asyncio.sleep(0.2)
    wrong = {name: (says[name], is_so[name]) for name in says if says[name] != is_so[name]}
    raise AssertionError(f"said and true: {wrong}; under way: {under_way}\n{inn.log()[-4000:]}")


async def test_kill_nine_while_twenty_go_to_sleep_and_wake(docker: aiodocker.Docker) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    async with installed(INNKEEPER_SWEEP_S="1") as inn:
        names = await house_of(inn, docker, TENANTS)
        requests: list[asyncio.Task[int | str]] = []
        for _ in range(KILLS):
            orders = []
            for name in chance.sample(names, len(names)):
                match chance.randrange(4):
                    case 0:
                        orders.append(order(inn, name, "sleep", {"tier": "pause"}))
                    case 1:
                        orders.append(order(inn, name, "sleep", {"tier": "stop"}))
                    case 2:
                        orders.append(order(inn, name, "wake"))
                    case _:
                        requests.append(asyncio.create_task(ask(inn, name)))
            ordering = asyncio.gather(*orders)
            await asyncio.sleep(chance.uniform(0, ROUND_S))
            inn.kill()
            await ordering
            await inn.start()
        answers = Counter(await asyncio.gather(*requests))
        where = f"seed {seed}\n{inn.log()[-3000:]}\n{inn.edge_log()[-3000:]}"
        assert set(answers) <= {200, 503}, f"{answers} {where}"
        assert answers[200] > answers[503], f"{answers} {where}"
        await settled(inn, docker)
        assert Counter(await asyncio.gather(*(ask(inn, name) for name in names))) == {200: len(names)}, where
        assert set((await settled(inn, docker)).values()) == {"running"}, where
        async with inn.api() as api:
            document = (await api.get("/health")).json()
        assert document["hibernation"] == {"running": len(names), "paused": 0, "stopped": 0}


async def test_what_was_thawed_or_stopped_by_hand_is_as_it_should_be_again(docker: aiodocker.Docker) -> None:
    async with installed(INNKEEPER_TICK_S="2") as inn:
        thawed, stopped, frozen, removed = await house_of(inn, docker, 4)
        for name in (thawed, stopped):
            await order(inn, name, "sleep", {"tier": "pause"})
        await settled(inn, docker)
        containers = {
            shown["Config"]["Labels"]["innkeeper.tenant"]: shown["Id"] for shown in await inn.containers(docker)
        }
        await docker.containers.container(containers[thawed]).unpause()
        await docker.containers.container(containers[stopped]).stop(t=0)
        await docker.containers.container(containers[frozen]).pause()
        await docker.containers.container(containers[removed]).delete(force=True)
        expected = {thawed: "paused", stopped: "stopped", frozen: "running", removed: "running"}
        async with asyncio.timeout(60):
            while await settled(inn, docker) != expected:
                await asyncio.sleep(0.2)
        assert [await ask(inn, name) for name in expected] == [200] * 4


async def test_orders_that_cross_end_in_one_place_and_nobody_runs_twice(docker: aiodocker.Docker) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    async with installed() as inn:
        (name,) = await house_of(inn, docker, 1)
        deeds = [("sleep", {"tier": "pause"}), ("sleep", {"tier": "stop"}), ("wake", None), ("restart", None)]
        for _ in range(6):
            crossing = [order(inn, name, *chance.choice(deeds)) for _ in range(5)]
            _, answer = await asyncio.gather(asyncio.gather(*crossing), ask(inn, name))
            assert answer in (200, 503), f"seed {seed}"
        await settled(inn, docker)
        assert await ask(inn, name) == 200
        assert await settled(inn, docker) == {name: "running"}
        await asyncio.gather(order(inn, name, "sleep", {"tier": "stop"}), inn.delete(name))
        assert await inn.containers(docker) == []


async def test_two_hundred_requests_at_one_that_is_stopped_are_one_start(docker: aiodocker.Docker) -> None:
    async with installed() as inn:
        (name,) = await house_of(inn, docker, 1, pids=512)
        await order(inn, name, "sleep", {"tier": "stop"})
        assert await settled(inn, docker) == {name: "stopped"}
        before = [shown["State"]["StartedAt"] for shown in await inn.containers(docker)]
        limits = httpx2.Limits(max_connections=200)
        headers = {"Host": f"{name}.localhost:{inn.edge_port}"}
        async with httpx2.AsyncClient(base_url=inn.edge_url, headers=headers, timeout=60, limits=limits) as edge:
            answers = await asyncio.gather(*(edge.get("/health") for _ in range(200)))
        assert Counter(answer.status_code for answer in answers) == {200: 200}, inn.edge_log()
        after = [shown["State"]["StartedAt"] for shown in await inn.containers(docker)]
        assert before != after
        async with inn.api() as api:
            metrics = (await api.get("/metrics")).text
        assert 'innkeeper_reconcile_steps_total{step="start"} 2.0' in metrics, "its first start, and this one"
