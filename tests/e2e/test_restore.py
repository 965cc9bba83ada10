"""The whole path of a loss: an agent that was told something is backed up, to a disk and to an S3 server; all but the
keyring is gone; on an empty data directory it is restored, and remembers."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import have_image
from tests.support.fake_provider import FakeProvider, fake_provider
from tests.support.installation import Installation
from tests.support.rclone import KEY, SECRET, an_s3_server

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

SECRET_WORD = "the password of the shed is Zebulon"


@asynccontextmanager
async def on_a_host(data: Path, **settings: str) -> AsyncIterator[Installation]:
    """An Innkeeper on that data directory, which is left as it is at the end; nothing of it runs any more."""
    inn = Installation(data, **settings)
    try:
        await inn.start()
        yield inn
    finally:
        await inn.clear()


@pytest.fixture
def places() -> Any:
    """A folder for the hosts' data directories, whose names have to be short, and for what lies elsewhere."""
    folder = Path(tempfile.mkdtemp(prefix="ik-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def says(inn: Installation, tenant: str, what: str) -> str:
    """Say something to the tenant's agent, in a conversation that goes on."""
    key = await inn.key(tenant)
    body = {"model": "openclaw", "user": "ann", "messages": [{"role": "user", "content": what}]}
    async with inn.edge(tenant, key) as edge:
        answer = await edge.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.text


async def restored(inn: Installation, *arguments: str) -> dict[str, Any]:
    """The operation of a restore."""
    told: dict[str, Any] = await inn.cli_json("restore", *arguments, "--yes")
    operation: dict[str, Any] = told["operation"]
    assert operation["status"] == "done", operation
    return operation


def only_the_keyring(old: Path, new: Path) -> None:
    """What is left after the loss."""
    new.mkdir()
    shutil.copy2(old / "keyring", new / "keyring")
    shutil.copytree(old / "keys", new / "keys")


@pytest.mark.openclaw
async def test_on_an_empty_host_with_the_keyring_the_agent_remembers(places: Path) -> None:
    with an_s3_server(places / "s3") as port:
        remote = {
            "INNKEEPER_BACKUP_REMOTE": f"s3:http://127.0.0.1:{port}/snapshots",
            "INNKEEPER_BACKUP_CREDENTIALS": json.dumps(
                {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "${env:OF_THE_TESTS}"}
            ),
            "OF_THE_TESTS": SECRET,
        }
        local = {"INNKEEPER_BACKUP_LOCAL": str(places / "disk")}
        async with fake_provider() as (model, url):
            provider = {"INNKEEPER_BROKER_PROVIDER": "openai", "INNKEEPER_OPENAI_BASE_URL": f"{url}/v1"}
            async with on_a_host(_made(places / "a"), **provider, **local, **remote) as inn:
                await have_image(inn, "openclaw")
                await inn.create("oc", agent="openclaw")
                await says(inn, "oc", SECRET_WORD)
                backup = await inn.cli_json("backup", "create", "oc")
                assert sorted(backup["result"]["targets"]) == ["local", "remote"], backup
                tokens = _gateway_token(inn, "oc")
            for name, where in (("b", local), ("c", remote | {"INNKEEPER_BACKUP_LOCAL": "off"})):
                only_the_keyring(places / "a", places / name)
                async with on_a_host(places / name, **provider, **where) as inn:
                    await have_image(inn, "openclaw")
                    (lost,) = await inn.cli_json("restore", "--list")
                    assert lost["tenant"] == "oc"
                    operation = await restored(inn, "oc", "--channels-on")
                    assert operation["result"]["fenced"] is False
                    model.asked.clear()
                    await says(inn, "oc", "what did I tell you?")
                    assert SECRET_WORD in _last_asked(model), "the model is shown what was said before the loss"
                    assert _gateway_token(inn, "oc") != tokens
                    assert await inn.cli_json("backup", "list", "oc"), "its snapshots are known again"


@pytest.mark.soak
@pytest.mark.openclaw
async def test_in_place_as_another_and_single_paths(places: Path) -> None:
    async with fake_provider() as (model, url):
        settings = {"INNKEEPER_BROKER_PROVIDER": "openai", "INNKEEPER_OPENAI_BASE_URL": f"{url}/v1"}
        async with on_a_host(_made(places / "a"), **settings) as inn:
            await have_image(inn, "openclaw")
            await inn.create("oc", agent="openclaw")
            await says(inn, "oc", SECRET_WORD)
            key = await inn.key("oc")
            await inn.cli_json("backup", "create", "oc")
            token = _gateway_token(inn, "oc")
            note = inn.data / "tenants/oc/persistence/workspace/note.md"
            note.write_text("written after the snapshot")
            await says(inn, "oc", "forget the shed, it burnt down")

            operation = await restored(inn, "oc")
            assert not note.exists()
            await says(inn, "oc", "what did I tell you?")
            assert SECRET_WORD in _last_asked(model)
            assert "burnt down" not in _last_asked(model)
            assert _gateway_token(inn, "oc") != token
            async with inn.edge("oc", key) as edge:
                assert (await edge.get("/v1/models")).status_code == 200, "its keys are as they were"

            safety = operation["result"]["safety"]
            await restored(inn, "oc", "--snapshot", safety, "--path", "workspace/note.md", "--into", "workspace/back")
            found = inn.data / "tenants/oc/persistence/workspace/back/workspace/note.md"
            assert found.read_text() == "written after the snapshot"

            await inn.cli_json("backup", "create", "oc")  # of a living one, whose lease on its data isn't over
            told = await restored(inn, "oc", "--as", "twin")
            assert told["result"]["fenced"] is True
            await says(inn, "twin", "what did I tell you?")
            assert SECRET_WORD in _last_asked(model)
            assert _gateway_token(inn, "twin") != _gateway_token(inn, "oc")
            assert (await inn.show("twin"))["fenced"] is True
            assert (await inn.cli_json("tenant", "confirm", "twin", "--yes"))["fenced"] is False
            async with asyncio.timeout(120):
                while not (await inn.show("twin"))["ready"]:
                    await asyncio.sleep(0.5)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _gateway_token(inn: Installation, tenant: str) -> str:
    config = json.loads((inn.data / f"tenants/{tenant}/persistence/.openclaw/openclaw.json").read_text())
    return str(config["gateway"]["auth"])


def _last_asked(model: FakeProvider) -> str:
    return json.dumps(model.asked[-1].body) if model.asked else ""
