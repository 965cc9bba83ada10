"""Idle tenants are frozen and come back at the first request, or at the first byte on a socket that stayed open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiodocker
import pytest
from websockets.asyncio.client import connect

from tests.e2e.conftest import have_image
from tests.host.own_swap import zram_swap
from tests.support.echo_agent import echo_spec
from tests.support.installation import Installation, installed

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

SOON = {"pause_after_s": 3, "page_after_s": None, "stop_after_s": 3600}


async def show(inn: Installation, name: str) -> dict[str, Any]:
    async with inn.api() as api:
        document: dict[str, Any] = (await api.get(f"/v1/tenants/{name}")).json()
    return document


async def until(inn: Installation, name: str, state: str) -> None:
    async with asyncio.timeout(90):
        while (await show(inn, name))["state"] != state:
            await asyncio.sleep(0.1)


async def status(inn: Installation, docker: aiodocker.Docker) -> str:
    (shown,) = await inn.containers(docker)
    return str(shown["State"]["Status"])


async def test_an_idle_tenant_is_frozen_and_an_open_socket_wakes_it(docker: aiodocker.Docker) -> None:
    async with installed(INNKEEPER_SWEEP_S="1") as inn:
        await have_image(inn, "nanobot")
        await inn.create("echo", **echo_spec(), sleep=SOON)
        key = await inn.key("echo")
        await until(inn, "echo", "paused")
        assert await status(inn, docker) == "paused"
        async with connect(
            f"ws://echo.localhost:{inn.edge_port}/socket",
            host="127.0.0.1",
            port=inn.edge_port,
            additional_headers={"Authorization": f"Bearer {key}"},
            proxy=None,
            ping_interval=None,
        ) as socket:
            await socket.send("woken by the handshake")
            assert await socket.recv() == "woken by the handshake"
            await until(inn, "echo", "paused")
            assert await status(inn, docker) == "paused", "a silent socket keeps nobody awake"
            await socket.send("a frame of more than a few bytes wakes it, though nobody passed the gate")
            async with asyncio.timeout(10):
                assert "a frame" in str(await socket.recv())
            await until(inn, "echo", "running")  # it may answer before that is written down


async def test_a_stream_that_flows_keeps_its_tenant_awake(docker: aiodocker.Docker) -> None:
    async with installed(INNKEEPER_SWEEP_S="1") as inn:
        await have_image(inn, "nanobot")
        await inn.create("echo", **echo_spec(), sleep=SOON)
        key = await inn.key("echo")
        async with inn.edge("echo", key) as edge, edge.stream("GET", "/events") as events:
            lines = events.aiter_lines()
            for _ in range(200):  # a tenth of a second each, and a blank line after each
                await anext(lines)
                assert (await show(inn, "echo"))["state"] == "running"


async def test_a_sleepers_memory_goes_to_swap_and_comes_back(docker: aiodocker.Docker, tmp_path: Path) -> None:
    async with zram_swap(tmp_path), installed(INNKEEPER_SWEEP_S="1") as inn:
        await have_image(inn, "nanobot")
        await inn.create("nano", agent="nanobot", sleep=SOON | {"page_after_s": 4})
        awake = (await show(inn, "nano"))["memory"]["resident_mb"]
        await until(inn, "nano", "paused")
        async with asyncio.timeout(60):
            while (await show(inn, "nano"))["memory"]["resident_mb"] > awake / 10:
                await asyncio.sleep(0.1)
        answered = await inn.cli("tenant", "chat", "nano", "are you there?")
        assert answered.returncode == 0, answered.stderr
        assert "demo model" in answered.stdout


async def charged_by_kernel(container: dict[str, Any]) -> dict[str, int]:
    """What the kernel says of a container's memory, in bytes; asked here, not of the code under test."""
    found = sorted(Path("/sys/fs/cgroup").rglob(f"*{container['Id']}*/memory.stat"))
    assert found, "the container has no memory cgroup"
    text = await asyncio.to_thread(found[0].read_text)
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


@pytest.mark.openclaw
@pytest.mark.timeout(400)
async def test_three_openclaws_that_were_trimmed_take_less_than_one(docker: aiodocker.Docker, tmp_path: Path) -> None:
    async with zram_swap(tmp_path), installed(INNKEEPER_SWEEP_S="1", INNKEEPER_TRIM_AFTER_S="10") as inn:
        await have_image(inn, "openclaw")
        names = ("oc1", "oc2", "oc3")
        whole = 0
        for name in names:  # one after the other: the machine has two cores
            await inn.create(name, agent="openclaw")
            whole = max(whole, (await show(inn, name))["memory"]["rss_mb"])
        memory: dict[str, dict[str, int]] = {}
        async with asyncio.timeout(120):
            while not (memory and all(each["swap_mb"] > each["resident_mb"] for each in memory.values())):
                await asyncio.sleep(0.5)
                documents = {name: await show(inn, name) for name in names}
                memory = {name: document["memory"] for name, document in documents.items()}
        assert all((each["state"], each["ready"]) == ("running", True) for each in documents.values())
        assert sum(each["resident_mb"] for each in memory.values()) < whole
        assert all(0 < each["zram_mb"] < each["swap_mb"] for each in memory.values()), "compressed, and counted"
        for container in await inn.containers(docker):
            name = container["Config"]["Hostname"]
            swapped_mb = (await charged_by_kernel(container))["swap"] >> 20
            assert abs(swapped_mb - (await show(inn, name))["memory"]["swap_mb"]) <= 0.1 * swapped_mb + 16
        for name in names:
            answered = await inn.cli("tenant", "chat", name, "are you there?")
            assert answered.returncode == 0, answered.stderr
            assert "demo model" in answered.stdout


@pytest.mark.openclaw
async def test_openclaw_consents_sleeps_in_swap_and_answers_again(docker: aiodocker.Docker, tmp_path: Path) -> None:
    async with zram_swap(tmp_path), installed(INNKEEPER_SWEEP_S="1") as inn:
        await have_image(inn, "openclaw")
        await inn.create("oc", agent="openclaw", sleep=SOON | {"page_after_s": 4})
        awake = (await show(inn, "oc"))["memory"]["resident_mb"]
        for _ in range(2):
            await until(inn, "oc", "paused")
            assert await status(inn, docker) == "paused"
            async with asyncio.timeout(60):
                while (await show(inn, "oc"))["memory"]["resident_mb"] > awake / 10:
                    await asyncio.sleep(0.1)
            asleep = await show(inn, "oc")
            assert asleep["next_wake"] is not None, "its scheduler has jobs of its own"
            answered = await inn.cli("tenant", "chat", "oc", "are you there?", "--json")
            assert answered.returncode == 0, answered.stderr
            assert "demo model" in answered.stdout
