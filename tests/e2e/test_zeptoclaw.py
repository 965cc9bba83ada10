"""ZeptoClaw as a tenant, by its stand-in: an image of the operator's own, small limits, the broker's model."""

from __future__ import annotations

import json
from pathlib import Path

import aiodocker
import pytest

from tests.e2e.conftest import have_image
from tests.support.installation import Installation
from tests.support.zeptoclaw_stand_in import zeptoclaw_image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

PROMPT = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "session/prompt",
    "params": {"prompt": [{"type": "text", "text": "hello"}]},
}


async def test_it_is_hosted_from_an_image_of_ones_own(
    inn: Installation, docker: aiodocker.Docker, tmp_path: Path
) -> None:
    refused = await inn.cli("tenant", "create", "z", "--agent", "zeptoclaw")
    assert refused.returncode != 0
    assert "--image" in refused.stderr
    await have_image(inn, "nanobot")
    image = await zeptoclaw_image(docker)
    made = await inn.cli_json("tenant", "create", "z", "--agent", "zeptoclaw", "--image", image, "--wait")
    assert (made["state"], made["ready"], made["release"]) == ("running", True, "0.9.2")
    (shown,) = await inn.containers(docker)
    host = shown["HostConfig"]
    assert (host["Memory"], host["MemoryReservation"], host["CpuShares"]) == (128 << 20, 32 << 20, 51)
    assert made["limits"] == {
        "memory_mb": 128,
        "cpus": 0.25,
        "pids": 512,
        "memory_reserve_mb": 32,
        "cpus_reserve": 0.05,
    }
    key = await inn.key("z")
    async with inn.edge("z", key) as edge:
        answer = await edge.post("/acp", json=PROMPT)
        unknown = await edge.post("/elsewhere", json=PROMPT)
    assert "demo model" in answer.text, answer.text
    assert unknown.status_code == 401
    config = inn.data / "tenants" / "z" / "persistence" / ".zeptoclaw" / "config.json"
    assert config.stat().st_mode & 0o777 == 0o600
    assert json.loads(config.read_text())["agents"]["defaults"]["model"] == "default"

    changed = tmp_path / "config.json"
    changed.write_text('{"channels": {"telegram": {"allowFrom": ["1"]}}}')
    done = await inn.cli("tenant", "update", "z", "--agent-config", str(changed))
    assert "allow_from" in done.stdout + done.stderr
