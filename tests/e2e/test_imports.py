"""Units of other systems live on in real containers: their files, their conversations, their agents answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import have_image
from tests.support import layouts
from tests.support.installation import Installation
from tests.support.layouts import SECRETS

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


async def taken(inn: Installation, *arguments: str | Path) -> dict[str, Any]:
    """An import that went well, and whose tenant is up."""
    document: dict[str, Any] = await inn.cli_json("unit", "import", *map(str, arguments), "--yes")
    assert all(each["status"] == "done" for each in (*document["operations"], *document["starts"])), document
    return document


async def answers(inn: Installation, tenant: str) -> str:
    """What its agent says through the edge."""
    async with inn.edge(tenant, await inn.key(tenant)) as edge:
        body = {"messages": [{"role": "user", "content": "hello"}]}
        answer = await edge.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    said: str = answer.json()["choices"][0]["message"]["content"]
    return said


async def test_zeptoclaws_tenants_answer_as_nanobots(inn: Installation, tmp_path: Path) -> None:
    await have_image(inn, "nanobot")
    root = layouts.zeptoclaw(tmp_path)
    for config in root.glob("tenants/*/config.json"):
        tree = json.loads(config.read_text())
        del tree["providers"], tree["agents"]  # the demo provider answers, not the net
        config.write_text(json.dumps(tree))
    await taken(inn, "--from", "zeptoclaw", root, "--volumes", tmp_path / "volumes", "--agent", "nanobot")
    for name in ("shop-ahmad", "shop-fatimah"):
        assert "demo model" in await answers(inn, name)
        unit = inn.data / "tenants" / name / "persistence"
        assert (unit / "workspace/notes.md").read_text() == f"{name} sells cloth\n"
        assert (unit / "workspace/notes.md").stat().st_uid == 1000
        assert (await inn.show(name))["fenced"]
    assert not any(secret in inn.log() for secret in SECRETS)


async def test_killed_while_it_copies_it_is_finished_by_the_next_process(inn: Installation, tmp_path: Path) -> None:
    await have_image(inn, "nanobot")
    root = layouts.zeptoclaw(tmp_path, "shop-ali")
    large = tmp_path / "volumes/zeptoclaw_shop-ali-data/_data/workspace/large.bin"
    with large.open("wb") as file:
        file.truncate(400 << 20)
    body = {"from": "zeptoclaw", "path": str(root), "volumes": str(tmp_path / "volumes"), "agent": "nanobot"}
    async with inn.api() as api:
        answer = await api.post("/v1/units/import", json=body)
    (operation,) = answer.json()["operations"]
    copied = inn.data / "imports" / operation["id"]
    while not list(copied.glob("*/persistence/workspace/large.bin")):
        await asyncio.sleep(0.005)
    inn.kill()
    assert not (inn.data / "tenants/shop-ali").exists()
    await inn.start()
    async with inn.api() as api:
        ended = (await api.get(f"/v1/operations/{operation['id']}", params={"wait": 120})).json()
        assert ended["status"] == "done", ended
        started = await api.get(f"/v1/operations/{ended['result']['provision']}", params={"wait": 120})
    assert started.json()["status"] == "done", started.text
    unit = inn.data / "tenants/shop-ali/persistence/workspace"
    assert (unit / "large.bin").stat().st_size == 400 << 20
    assert not list((inn.data / "imports").iterdir())


@pytest.mark.openclaw
async def test_openclaws_of_other_systems_answer(inn: Installation, tmp_path: Path) -> None:
    await have_image(inn, "openclaw")
    unit = layouts.marcoby(tmp_path, config=layouts.openclaw_config(agents={"defaults": {"workspace": "~/x"}}))
    env = [line for line in layouts.MARCOBY_ENV.splitlines() if "OPENAI" not in line]
    (unit / ".env").write_text("\n".join(env) + "\n")
    await taken(inn, "--from", "marcoby", unit)
    assert "demo model" in await answers(inn, "client-alpha")
    persistence = inn.data / "tenants/client-alpha/persistence"
    assert (persistence / "workspace/SOUL.md").read_text() == "# Alpha\n"
    await inn.delete("client-alpha")

    await taken(inn, "--from", "workforce", layouts.workforce(tmp_path / "tenants", UUID))
    assert "demo model" in await answers(inn, UUID)
    home = inn.data / "tenants" / UUID / "persistence/.openclaw"
    kept = b"".join(each.read_bytes() for each in home.glob("agents/sales/agent/openclaw-agent.sqlite*"))
    assert b"My number is 4711." in kept  # OpenClaw has taken the old transcript into its own store
    await inn.delete(UUID)

    home = layouts.startclaw(tmp_path / "volumes")
    config = json.loads((home / "config/openclaw.json").read_text())
    del config["env"], config["agents"]
    (home / "config/openclaw.json").write_text(json.dumps(config))
    await taken(inn, "--from", "startclaw", layouts.tarred(home, tmp_path / "user1-2026-02-08.tar.gz"))
    assert "demo model" in await answers(inn, "user1")
    assert (inn.data / "tenants/user1/persistence/workspace/memory/2026-02-08.md").exists()


@pytest.mark.openclaw
async def test_ocmts_data_folder_answers(inn: Installation, tmp_path: Path) -> None:
    await have_image(inn, "openclaw")
    root = layouts.ocmt(tmp_path / "ocmt", "user-7")
    (root / "user-7/.openclaw/agents/main/agent/openclaw-agent.sqlite").unlink()  # a stand-in that OpenClaw can't open
    config = json.loads((root / "user-7/.openclaw/openclaw.json").read_text())
    for key in ("env", "agents", "models"):
        config.pop(key, None)  # the demo provider answers, not the net
    (root / "user-7/.openclaw/openclaw.json").write_text(json.dumps(config))
    await taken(inn, "--from", "ocmt", root)
    assert "demo model" in await answers(inn, "user-7")
    assert (inn.data / "tenants/user-7/persistence/workspace/MEMORY.md").read_text() == "likes tea\n"
    assert (await inn.show("user-7"))["fenced"], "its bot isn't polled by two"
