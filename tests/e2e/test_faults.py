"""Bad days on real Docker: it is down, somebody removes things by hand, an agent crashes, the disk is full."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from tests.support.installation import Installation, installed
from tests.support.socket_proxy import SocketProxy
from tests.support.tiny_image import PORT, tiny_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

ENGINE = "/var/run/docker.sock"


@pytest.fixture
async def image(docker: aiodocker.Docker) -> str:
    return await tiny_image(docker)


def tiny(image: str, **spec: Any) -> dict[str, Any]:
    return {
        "agent": "custom",
        "limits": {"memory_mb": 64, "cpus": 0.5, "pids": 64},
        "custom": {"image": image, "port": PORT, "health_path": "/health"},
        **spec,
    }


async def show(inn: Installation, path: str) -> dict[str, Any]:
    async with inn.api() as api:
        document: dict[str, Any] = (await api.get(path)).json()
    return document


async def until(inn: Installation, path: str, **wanted: Any) -> dict[str, Any]:
    """The document, once it says what is wanted."""
    async with asyncio.timeout(60):
        while True:
            document = await show(inn, path)
            if all(document.get(key) == value for key, value in wanted.items()):
                return document
            await asyncio.sleep(0.05)


async def begin(inn: Installation, name: str, **body: Any) -> dict[str, Any]:
    async with inn.api() as api:
        answer = await api.post("/v1/tenants", json={"name": name, **body})
    assert answer.status_code == 202, answer.text
    operation: dict[str, Any] = answer.json()
    return operation


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SocketProxy]:
    """The Engine behind a socket that can go away."""
    folder = Path(tempfile.mkdtemp(prefix="ik-"))
    proxy = SocketProxy(folder / "docker.sock", ENGINE)
    await proxy.up()
    yield proxy
    await proxy.down()
    shutil.rmtree(folder)


async def test_docker_down_before_during_and_after_a_create(engine: SocketProxy, image: str) -> None:
    async with installed(INNKEEPER_DOCKER_SOCKET=engine.path) as inn:
        await inn.create("first", **tiny(image))
        await engine.down()
        async with inn.api() as api:
            refused = await api.post("/v1/tenants", json={"name": "custom", **tiny(image)})
        assert refused.status_code == 503, "an image of the operator's own can't be looked up now"
        assert refused.json()["code"] == "runtime_unavailable"
        async with inn.api() as api:
            slept = (await api.post("/v1/tenants/first/sleep", json={"tier": "stop"})).json()
        held_up = f"/v1/operations/{slept['id']}"
        async with asyncio.timeout(60):
            while (await show(inn, held_up))["error"] is None:
                await asyncio.sleep(0.05)
        assert (await show(inn, held_up))["error"]["code"] == "runtime_unavailable"
        assert (await show(inn, held_up))["status"] == "running"
        await engine.up()
        await until(inn, held_up, status="done")

        during = await begin(inn, "second", **tiny(image))
        engine.cut()
        await until(inn, f"/v1/operations/{during['id']}", status="done")
        await engine.down()
        await engine.up()
        await until(inn, "/v1/tenants/second", state="running", ready=True)


async def test_an_image_that_isnt_there(inn: Installation, docker: aiodocker.Docker) -> None:
    async with inn.api() as api:
        answer = await api.post("/v1/tenants", json={"name": "a", **tiny("no-such-image:1")})
        assert (answer.status_code, answer.json()["code"]) == (503, "image_missing")
        answer = await api.post("/v1/tenants", json={"name": "a", "agent": "openclaw"})
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_release")
        assert (await api.get("/v1/tenants")).json()["items"] == []
    assert inn.folders() == []


async def test_an_image_that_vanishes_is_told_of(inn: Installation, docker: aiodocker.Docker, image: str) -> None:
    """A copy of the tiny image under an ID of its own, removed while its tenant sleeps without a container."""
    tag = f"innkeeper-test/{inn.namespace}:1"
    dockerfile = f"FROM {image}\nLABEL test={inn.namespace}\n".encode()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(dockerfile)
        tar.addfile(member, io.BytesIO(dockerfile))
    context.seek(0)
    await docker.images.build(fileobj=context, encoding="identity", tag=tag, rm=True)
    try:
        await inn.create("a", **tiny(tag))
        async with inn.api() as api:
            await api.post("/v1/tenants/a/sleep", params={"wait": 60}, json={"tier": "stop"})
            (shown,) = await inn.containers(docker)
            await docker.containers.container(shown["Id"]).delete(force=True)
            await docker.images.delete(tag, force=True)
            woken = (await api.post("/v1/tenants/a/wake", params={"wait": 60})).json()
        assert woken["status"] == "failed"
        assert woken["error"]["code"] == "image_missing"
        assert woken["error"]["hint"]
    finally:
        with suppress(aiodocker.DockerError):
            await docker.images.delete(tag, force=True)


async def test_what_is_removed_or_stopped_by_hand_comes_back(
    inn: Installation, docker: aiodocker.Docker, image: str
) -> None:
    await inn.create("a", **tiny(image))
    (before,) = await inn.containers(docker)
    await docker.containers.container(before["Id"]).delete(force=True)
    async with asyncio.timeout(30):
        while [shown["Id"] for shown in await inn.containers(docker)] in ([], [before["Id"]]):
            await asyncio.sleep(0.05)
    await until(inn, "/v1/tenants/a", state="running", ready=True)
    (after,) = await inn.containers(docker)
    await docker.containers.container(after["Id"]).stop(t=1)
    await until(inn, "/v1/tenants/a", state="running", ready=True)
    assert [shown["Id"] for shown in await inn.containers(docker)] == [after["Id"]]


async def test_instances_are_adopted_after_a_restart(inn: Installation, docker: aiodocker.Docker, image: str) -> None:
    await inn.create("a", **tiny(image))
    (before,) = await inn.containers(docker)
    inn.kill()
    await inn.start()
    await until(inn, "/v1/tenants/a", state="running", ready=True)
    (after,) = await inn.containers(docker)
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])


async def test_five_crashes_and_it_is_failed_with_its_last_words(inn: Installation, image: str) -> None:
    crashing = tiny(image, env={"EXIT_AT_ONCE": "7"})
    operation = await begin(inn, "a", **crashing)
    ended = await until(inn, f"/v1/operations/{operation['id']}", status="failed")
    assert ended["error"]["code"] == "tenant_failed"
    tenant = await until(inn, "/v1/tenants/a", state="failed")
    assert "ended with 7" in tenant["error"]
    assert "a word on the other stream" in tenant["error"]
    async with inn.api() as api:
        mended = await api.patch("/v1/tenants/a", params={"wait": 60}, json={"env": {}})
    assert mended.json()["status"] == "done", mended.text
    await until(inn, "/v1/tenants/a", state="running", ready=True, error=None)


async def test_a_strangers_container_is_never_touched(inn: Installation, docker: aiodocker.Docker, image: str) -> None:
    name = f"{inn.namespace}-a"
    stranger = await docker.containers.create({"Image": image}, name=name)
    try:
        operation = await begin(inn, "a", **tiny(image))
        ended = await until(inn, f"/v1/operations/{operation['id']}", status="failed")
        assert ended["error"]["code"] == "foreign_instance"
        assert name in ended["error"]["detail"]
        await inn.delete("a")
        shown = await stranger.show()
        assert shown["State"]["Status"] == "created"
    finally:
        await stranger.delete(force=True)


async def test_a_full_disk_delays_a_create_and_loses_nothing(inn: Installation, image: str) -> None:
    tenants = inn.data / "tenants"
    tenants.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", str(tenants)], check=True)
    try:
        ballast = tenants / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        operation = await begin(inn, "a", **tiny(image))
        path = f"/v1/operations/{operation['id']}"
        async with asyncio.timeout(60):
            while (await show(inn, path))["error"] is None:
                await asyncio.sleep(0.05)
        held_up = await show(inn, path)
        assert (held_up["status"], held_up["error"]["code"]) == ("running", "disk_full")
        ballast.unlink()
        await until(inn, path, status="done")
        await inn.delete("a")
        assert inn.folders() == []
    finally:
        await inn.stop()
        subprocess.run(["umount", str(tenants)], check=True)


async def test_a_port_that_is_taken_is_named_before_anything_is_made(inn: Installation) -> None:
    data = Path(tempfile.mkdtemp(prefix="ik-"))
    try:
        for setting, port in (("INNKEEPER_EDGE_PORT", inn.edge_port), ("INNKEEPER_API", inn.api_port)):
            other = Installation(data)
            other.env[setting] = str(port) if setting == "INNKEEPER_EDGE_PORT" else f"127.0.0.1:{port}"
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "innkeeper", "serve"],
                env=other.env,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 1
            assert str(port) in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        shutil.rmtree(data)


async def test_one_data_directory_has_one_control_plane(inn: Installation) -> None:
    done = await inn.cli("serve")
    assert done.returncode != 0
    assert "serves" in done.stderr or "listen" in done.stderr
    again = await inn.cli("serve", "--detach")
    assert again.returncode == 0
    assert "already" in again.stdout
