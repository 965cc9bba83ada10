"""A real OpenClaw in Telegram's webhook mode: it sleeps, an update comes, it wakes and answers.

Telegram itself can't be reached from here. A few lines of Node stand in for its API, within the tenant, where OpenClaw
is told to look for it; the updates come in through the edge, as Telegram would send them.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from tests.e2e.conftest import have_image
from tests.support.installation import Installation

pytestmark = [pytest.mark.docker, pytest.mark.openclaw, pytest.mark.timeout(400)]

SECRET = {"X-Telegram-Bot-Api-Secret-Token": "only-telegram-knows"}
API = """
const http = require('http'), fs = require('fs')
const results = {
  getMe: {id: 1, is_bot: true, first_name: 'bot', username: 'test_bot'},
  sendMessage: {message_id: 5, date: 1, chat: {id: 42, type: 'private'}, text: ''},
}
http.createServer((request, response) => {
  let body = ''
  request.on('data', data => body += data)
  request.on('end', () => {
    const method = request.url.split('/').pop()
    fs.appendFileSync('/data/telegram.jsonl', JSON.stringify({method, body}) + '\\n')
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ok: true, result: results[method] ?? true}))
  })
}).listen(9999, '127.0.0.1')
"""
CHANNEL = {
    "botToken": "123456:ABCdefGHIjklMNOpqrSTUvwxyz012345678",
    "apiRoot": "http://127.0.0.1:9999",
    "webhookUrl": "https://oc.example.com/telegram-webhook",
    "webhookSecret": SECRET["X-Telegram-Bot-Api-Secret-Token"],
    "webhookHost": "0.0.0.0",
    "dmPolicy": "open",
    "allowFrom": ["*"],
    "network": {"dangerouslyAllowPrivateNetwork": True},
}


def update(number: int) -> dict[str, Any]:
    chat = {"id": 42, "type": "private", "first_name": "A"}
    message = {
        "message_id": number,
        "date": 1700000000,
        "chat": chat,
        "from": {**chat, "is_bot": False},
        "text": "hello",
    }
    return {"update_id": 1000 + number, "message": message}


def called(folder: Path) -> list[str]:
    """What OpenClaw has asked of the API."""
    calls = folder / "telegram.jsonl"
    return [json.loads(line)["method"] for line in calls.read_text().splitlines()] if calls.exists() else []


async def set_up(inn: Installation, docker: aiodocker.Docker, folder: Path) -> None:
    """As a user does: the channel is written into the config of the running agent."""
    (folder / "api.js").write_text(API)
    [shown] = await inn.containers(docker)
    api = await docker.containers.container(shown["Id"]).exec(["node", "/data/api.js"], user="1000")
    await api.start(detach=True)
    config = folder / ".openclaw/openclaw.json"
    tree = json.loads(config.read_text())
    config.write_text(json.dumps(tree | {"channels": {"telegram": CHANNEL}}))
    for path in (config, folder / "api.js"):
        os.chown(path, 1000, 1000)


async def test_an_update_wakes_it_and_is_answered_once(inn: Installation, docker: aiodocker.Docker) -> None:
    await have_image(inn, "openclaw")
    await inn.create("oc", agent="openclaw")
    folder = inn.data / "tenants/oc/persistence"
    await set_up(inn, docker, folder)
    async with inn.api() as api, asyncio.timeout(90):
        while not (inbox := (await api.get("/v1/tenants/oc")).json()["inbox"]):
            await asyncio.sleep(0.2)
        assert inbox == [{"path": "/telegram-webhook", "id": "json:update_id", "port": 8787, "by": "agent"}]
        while "setWebhook" not in called(folder):
            await asyncio.sleep(0.2)
        while (await api.post("/v1/tenants/oc/sleep", params={"wait": 60})).json().get("status") != "done":
            await asyncio.sleep(1)  # it isn't through with its start yet
        assert (await api.get("/v1/tenants/oc")).json()["state"] == "paused"

    async with inn.edge("oc") as telegram:
        for expected in ({"ok": True}, {"ok": True, "duplicate": True}):
            answer = await telegram.post("/telegram-webhook", json=update(1), headers=SECRET)
            assert (answer.status_code, answer.json()) == (200, expected)
        forged = SECRET | {"X-Telegram-Bot-Api-Secret-Token": "guessed"}
        assert (await telegram.post("/telegram-webhook", json=update(2), headers=forged)).status_code == 200

    async with asyncio.timeout(120):
        while "sendMessage" not in called(folder):
            await asyncio.sleep(0.2)
        while not (dead := await inn.cli_json("inbox", "list", "oc", "--state", "dead")):
            await asyncio.sleep(0.2)
    [delivered] = await inn.cli_json("inbox", "list", "oc", "--state", "delivered")
    assert (delivered["sender_id"], delivered["attempts"]) == ("1001", 1)
    assert [each["last_error"] for each in dead] == ["It was answered with 401."]
    assert called(folder).count("sendMessage") == 1
