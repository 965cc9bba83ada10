"""Egress in a whole installation: learned, listed, enforced, and still so after a kill; by the command line alone."""

from __future__ import annotations

import json

import aiodocker
import pytest

from tests.support.installation import installed
from tests.support.tiny_image import PORT, tiny_image
from tests.support.world import world

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

RECORDS = {"api.example.com A": ["{0}"], "www.example.com A": ["{1}"], "later.example.com A": ["{2}"]}


async def inside(docker: aiodocker.Docker, container: str, program: str) -> str:
    ended = await docker.containers.container(container).exec(["sh", "-c", program])
    said = b""
    async with ended.start() as stream:
        while (message := await stream.read_out()) is not None:
            said += message.data
    return said.decode(errors="replace")


async def looked_up(docker: aiodocker.Docker, container: str, name: str) -> bool:
    said = await inside(docker, container, f"nslookup -type=a {name} 2>&1")
    return "Name:" in said


async def got(docker: aiodocker.Docker, container: str, address: str) -> str:
    ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'"
    return (await inside(docker, container, f"{ask} | nc -w 3 {address} 80 2>/dev/null | tail -n 1")).strip()


async def test_learned_listed_enforced_and_killed() -> None:
    async with (
        aiodocker.Docker(url="unix:///var/run/docker.sock") as docker,
        world(RECORDS) as outside,
        installed(INNKEEPER_DNS=json.dumps([outside.resolver])) as inn,
    ):
        api, www, later, *_ = outside.webs
        custom = {"image": await tiny_image(docker), "port": PORT, "health_path": "/health"}
        await inn.create("a", agent="custom", limits={"memory_mb": 64}, custom=custom)
        (shown,) = await inn.containers(docker)
        box = shown["Id"]

        await inn.cli_json("egress", "set", "a", "--mode", "learn")
        assert await looked_up(docker, box, "api.example.com")
        learned = await inn.cli_json("egress", "show", "a")
        assert (learned["mode"], learned["in_force"], learned["cannot"]) == ("learn", True, None)
        assert [each["name"] for each in learned["asked"]] == ["api.example.com"]
        assert await got(docker, box, www) == "web 1"

        await inn.cli_json("egress", "set", "a", "--mode", "enforce", "--allow-learned", "--allow", "later.example.com")
        assert await looked_up(docker, box, "api.example.com")
        assert await got(docker, box, api) == "web 0"
        assert not await looked_up(docker, box, "www.example.com")
        health = "printf 'GET /health HTTP/1.0\\r\\n\\r\\n'"
        gateway = shown["NetworkSettings"]["Networks"].popitem()[1]["Gateway"]
        assert "200" in await inside(docker, box, f"{health} | nc -w 3 {gateway} {inn.broker_port}"), "the broker stays"

        refused = [each["name"] for each in (await inn.cli_json("egress", "show", "a"))["asked"] if each["refused"]]
        assert refused == ["www.example.com"]

        inn.kill()
        assert await got(docker, box, api) == "web 0"
        assert await got(docker, box, www) == ""
        assert not await looked_up(docker, box, "later.example.com")
        await inn.start()
        while not await looked_up(docker, box, "later.example.com"):
            pass  # until the name server is back
        assert await got(docker, box, later) == "web 2"
        assert await got(docker, box, www) == ""
        assert [each["Id"] for each in await inn.containers(docker)] == [box], "never made anew"

        findings = {each["name"]: each for each in (await inn.cli_json("doctor"))["findings"]}
        assert findings["isolation"]["status"] == "ok", findings["isolation"]
        await inn.delete("a")
        assert inn.folders() == []
