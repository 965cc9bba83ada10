"""Idle tenants are frozen and come back at the first request, or at the first byte on a socket that stayed open."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiodocker
import pytest
from websockets.asyncio.client import connect

from tests.e2e.conftest import have_image
from tests.host.own_swap import zram_swap
from tests.support.echo_agent import echo_spec
from tests.support.installation import Installation, installed

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

SOON = {"pause_after_s": 3, "page_after_s": None, "stop_after_s": 3600}


async def until(inn: Installation, name: str, state: str) -> None:
    async with asyncio.timeout(90):
        while (await inn.show(name))["state"] != state:
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
        await inn.create("echo", **echo_spec(), sleep=SOON | {"pause_after_s": 2})
        key = await inn.key("echo")
        async with inn.edge("echo", key) as edge, edge.stream("GET", "/events") as events:
            lines = events.aiter_lines()
            for _ in range(140):  # 7 s: a tenth of a second each, and a blank line after each
                await anext(lines)
                assert (await inn.show("echo"))["state"] == "running"


async def test_a_sleepers_memory_goes_to_swap_and_comes_back(docker: aiodocker.Docker, tmp_path: Path) -> None:
    async with zram_swap(tmp_path), installed(INNKEEPER_SWEEP_S="1") as inn:
        await have_image(inn, "nanobot")
        await inn.create("nano", agent="nanobot", sleep=SOON | {"page_after_s": 4})
        awake = (await inn.show("nano"))["memory"]["resident_mb"]
        await until(inn, "nano", "paused")
        async with asyncio.timeout(60):
            while (await inn.show("nano"))["memory"]["resident_mb"] > awake / 10:
                await asyncio.sleep(0.1)
        answered = await inn.cli("tenant", "chat", "nano", "are you there?")
        assert answered.returncode == 0, answered.stderr
        assert "demo model" in answered.stdout


@pytest.mark.openclaw
async def test_openclaw_consents_sleeps_in_swap_and_answers_again(docker: aiodocker.Docker, tmp_path: Path) -> None:
    async with zram_swap(tmp_path), installed(INNKEEPER_SWEEP_S="1") as inn:
        await have_image(inn, "openclaw")
        await inn.create("oc", agent="openclaw", sleep=SOON | {"page_after_s": 4})
        awake = (await inn.show("oc"))["memory"]["resident_mb"]
        for _ in range(2):
            await until(inn, "oc", "paused")
            assert await status(inn, docker) == "paused"
            async with asyncio.timeout(60):
                while (await inn.show("oc"))["memory"]["resident_mb"] > awake / 10:
                    await asyncio.sleep(0.1)
            asleep = await inn.show("oc")
            assert asleep["next_wake"] is not None, "its scheduler has jobs of its own"
            answered = await inn.cli("tenant", "chat", "oc", "are you there?", "--json")
            assert answered.returncode == 0, answered.stderr
            assert "demo model" in answered.stdout
