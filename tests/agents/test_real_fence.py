"""A fence around the real agents: they start, none of their channels does, and nothing is sent by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from innkeeper.agents.nanobot import Nanobot
from innkeeper.agents.openclaw import OpenClaw
from innkeeper.core.instance import Place
from innkeeper.core.ports import Agent
from tests.agents.seats import GATEWAY_TOKEN, seat_for, spec_for
from tests.agents.test_real import ask, docker, place, running, write
from tests.support.serving import serving

__all__ = ["docker", "place"]

pytestmark = pytest.mark.docker

TOKEN = "123456:ABCdefGHIjklMNOpqrSTUvwxyz012345678"


class Telegram:
    """Stands in for the API of Telegram: writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        method = scope["path"].rpartition("/")[2]
        self.asked.append(method)
        bot = {"id": 1, "is_bot": True, "first_name": "bot", "username": "test_bot"}
        result: object = {"getMe": bot, "getUpdates": []}.get(method, True)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps({"ok": True, "result": result}).encode()})


def channel(api: str) -> dict[str, Any]:
    network = {"dangerouslyAllowPrivateNetwork": True}
    return {"botToken": TOKEN, "apiRoot": api, "dmPolicy": "open", "allowFrom": ["*"], "network": network}


def fence(agent: Agent, folder: Path, place: Place, *, up: bool) -> None:
    """Write the config anew, with the fence or without."""
    files = {path: (folder / path).read_bytes() for path in agent.config_paths() if (folder / path).is_file()}
    seat = seat_for(agent, broker_url="http://192.0.2.7:1", edge_address=place.gateway)
    for file in agent.render(replace(seat, fenced=up), files):
        path = folder / file.path
        path.touch()
        path.write_bytes(file.content)


@pytest.mark.soak
@pytest.mark.openclaw
@pytest.mark.timeout(400)
async def test_a_fenced_openclaw_neither_polls_nor_sends(
    docker: aiodocker.Docker, place: Place, tmp_path: Path
) -> None:
    agent, telegram = OpenClaw(), Telegram()
    spec, image = spec_for(agent), "innkeeper/openclaw:2026.9.6"
    config = tmp_path / ".openclaw" / "openclaw.json"
    async with serving(telegram, place.gateway) as api:
        config.parent.mkdir()
        config.write_text(json.dumps({"channels": {"telegram": channel(api)}}))
        write(agent, tmp_path, broker_url="http://192.0.2.7:1", place=place)
        fence(agent, tmp_path, place, up=True)
        message = {"channel": "telegram", "to": "42", "message": "hello", "idempotencyKey": "1"}
        async with running(docker, agent, image, tmp_path, place, **agent.fence(spec)) as url:
            sent = await ask(url, agent.jobs(spec, GATEWAY_TOKEN), method="send", params=message)
            schedule = await ask(url, agent.next_run(spec, GATEWAY_TOKEN))
        assert not sent.json()["ok"], sent.text
        assert schedule.json()["payload"]["enabled"] is False
        assert telegram.asked == []

        # Shut by its environment alone, too: its config may be rewritten meanwhile.
        fence(agent, tmp_path, place, up=False)
        assert "enabled" not in json.loads(config.read_bytes())["channels"]["telegram"]
        async with running(docker, agent, image, tmp_path, place, **agent.fence(spec)) as url:
            status = await ask(url, agent.jobs(spec, GATEWAY_TOKEN), method="channels.status", params={})
        assert telegram.asked == [], status.text

        async with running(docker, agent, image, tmp_path, place), asyncio.timeout(120):
            while "getUpdates" not in telegram.asked:
                await asyncio.sleep(0.2)


async def test_a_fenced_nanobot_starts(docker: aiodocker.Docker, place: Place, tmp_path: Path) -> None:
    agent, telegram = Nanobot(), Telegram()
    config = tmp_path / ".nanobot" / "config.json"
    async with serving(telegram, place.gateway) as api:
        config.parent.mkdir()
        config.write_text(json.dumps({"channels": {"telegram": {"enabled": True, "token": TOKEN, "apiRoot": api}}}))
        write(agent, tmp_path, broker_url="http://192.0.2.7:1", place=place)
        fence(agent, tmp_path, place, up=True)
        assert json.loads(config.read_bytes())["channels"]["telegram"]["enabled"] is False
        async with running(docker, agent, "innkeeper/nanobot:0.3.5", tmp_path, place):
            pass
    assert telegram.asked == []
