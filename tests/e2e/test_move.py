"""A unit taken out: exported from a control plane that runs, and run in an empty folder by compose and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import aiodocker
import httpx2
import pyrage
import pytest

from innkeeper.agents import AGENTS
from tests.e2e.conftest import have_image
from tests.support.fake_provider import FakeProvider
from tests.support.installation import Installation
from tests.support.serving import free_port, serving
from tests.units.test_compose import host_gateway, until_ready, up

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


async def test_an_exported_nanobot_runs_in_an_empty_folder(
    inn: Installation, docker: aiodocker.Docker, tmp_path: Path
) -> None:
    await have_image(inn, "nanobot")
    await inn.cli_json("tenant", "create", "a", "--agent", "nanobot", "--wait")
    workspace = inn.data / "tenants" / "a" / "persistence" / "workspace"
    workspace.mkdir(exist_ok=True)
    (workspace / "NOTES.md").write_text("remember the milk")
    identity = pyrage.x25519.Identity.generate()
    file = tmp_path / "a.tar.age"
    recipient = str(identity.to_public())
    told = await inn.cli_json("unit", "export", "a", "--output", str(file), "--recipient", recipient, "--with-image")
    assert (told["file"], told["encrypted"]) == (str(file), True)
    assert told["frozen_s"] < 5
    assert (await inn.show("a"))["ready"]
    exports = inn.data / "exports"
    assert not list(exports.iterdir()), "fetched, it is removed"
    await inn.delete("a")

    tar = tmp_path / "a.tar"
    tar.write_bytes(pyrage.decrypt(file.read_bytes(), [identity]))
    unpack(tar, tmp_path / "elsewhere")
    unit = tmp_path / "elsewhere" / "a"
    assert (unit / "persistence" / "workspace" / "NOTES.md").read_text() == "remember the milk"
    assert (unit / "persistence").stat().st_uid == 1000
    loaded = subprocess.run(
        ["docker", "load", "-i", str(unit / "image.tar")], capture_output=True, text=True, check=True
    )
    assert "innkeeper/nanobot:" in loaded.stdout
    agent, provider, port = AGENTS["nanobot"], FakeProvider(), free_port()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(provider, await host_gateway(docker)))
        set_in(unit / ".env", PORT=str(port), MODEL_NAME="mine", MODEL_API_KEY="of-my-own",
               MODEL_BASE_URL=f"http://host.docker.internal:{httpx2.URL(url).port}/v1")  # fmt: skip
        await stack.enter_async_context(up(unit))
        await until_ready(agent, f"http://127.0.0.1:{port}")
        token = json.loads((unit / "persistence" / ".nanobot" / "config.json").read_text())["api"]["apiKey"]
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
            answer = await client.post(
                f"http://127.0.0.1:{port}/v1/chat/completions",
                json={"messages": [{"role": "user", "content": "hello"}]},
                headers={"Authorization": f"Bearer {token}"},
            )
    assert answer.json()["choices"][0]["message"]["content"] == "Hello there."


async def test_a_tar_that_isnt_whole_isnt_left_behind(inn: Installation, tmp_path: Path) -> None:
    done = await inn.cli("unit", "export", "nobody", "--output", str(tmp_path / "x.tar"))
    assert done.returncode == 3, done.stderr
    assert not list(tmp_path.iterdir())


def unpack(tar: Path, into: Path) -> None:
    """As the documentation says."""
    into.mkdir()
    subprocess.run(["tar", "--numeric-owner", "-xpf", str(tar), "-C", str(into)], check=True)


def set_in(env: Path, **settings: str) -> None:
    """What an operator does with an editor."""
    text = env.read_text()
    for name, value in settings.items():
        text, count = re.subn(rf"(?m)^(?:# )?{name}=.*$", f"{name}={value}", text)
        assert count == 1, name
    env.write_text(text)
