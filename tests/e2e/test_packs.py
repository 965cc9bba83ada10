"""Core content from a pack and from the agent's own image, in the workspace of a real agent before its first word."""

from __future__ import annotations

import os
from pathlib import Path

import aiodocker
import pytest

from tests.e2e.conftest import have_image
from tests.support.installation import Installation

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def pack(at: Path, version: str, soul: str) -> Path:
    """A folder that is a pack."""
    (at / "sops").mkdir(parents=True, exist_ok=True)
    (at / "pack.toml").write_text(f'name = "core"\nversion = "{version}"\n')
    (at / "SOUL.md").write_text(soul)
    (at / "sops/intake.md").write_text(f"Intake, version {version}.")
    return at


async def inside(docker: aiodocker.Docker, container_id: str, *command: str) -> str:
    execution = await docker.containers.container(container_id).exec(list(command))
    said = b""
    async with execution.start() as stream:
        while (message := await stream.read_out()) is not None:
            said += message.data
    return said.decode()


async def test_a_workspace_is_filled_before_nanobot_starts_and_follows_new_versions(
    inn: Installation, docker: aiodocker.Docker, tmp_path: Path
) -> None:
    await have_image(inn, "nanobot")
    added = await inn.cli("pack", "add", str(pack(tmp_path, "1", "You keep the inn.")))
    assert added.returncode == 0, added.stderr
    await inn.create("a", agent="nanobot", packs=["image:/etc/cron.daily", "core"])

    workspace = inn.data / "tenants/a/persistence/workspace"
    (shown,) = await inn.containers(docker)
    read = await inside(docker, shown["Id"], "cat", "/data/workspace/SOUL.md", "/data/workspace/sops/intake.md")
    assert read == "You keep the inn.Intake, version 1."
    for path in (workspace, workspace / "SOUL.md", workspace / "sops", workspace / "sops/intake.md"):
        assert (path.stat().st_uid, path.stat().st_gid) == (1000, 1000)
    listed = await inside(docker, shown["Id"], "ls", "/etc/cron.daily")
    for name in listed.split():
        assert os.access(workspace / name, os.X_OK), "what can be run in the image can be run here"
    await inside(docker, shown["Id"], "sh", "-c", "echo mine > /data/workspace/SOUL.md")

    await inn.cli("pack", "add", str(pack(tmp_path, "2", "You keep the inn well.")))
    hydrated = await inn.cli_json("unit", "hydrate", "a")
    assert {each["path"]: each["act"] for each in hydrated["result"]["files"]} == {
        "workspace/SOUL.md": "beside",
        "workspace/sops/intake.md": "update",
    }
    (still,) = await inn.containers(docker)
    assert still["Id"] == shown["Id"], "it ran on"
    read = await inside(docker, shown["Id"], "cat", "/data/workspace/SOUL.md", "/data/workspace/sops/intake.md")
    assert read == "mine\nIntake, version 2."
    status = await inn.cli_json("unit", "status", "a")
    assert [each["beside"] for each in status["conflicts"]] == ["workspace/SOUL.md.new"]
    assert [each["current"] for each in status["packs"]] == [True, True]
    assert len(await docker.containers.list(all=1, filters={"label": [f"innkeeper.reading={inn.namespace}"]})) == 0
