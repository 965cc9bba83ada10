"""`innkeeper serve --detach`: what ended it is said where it was asked for, not in the log alone."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from innkeeper.keyring import Keyring, admin_token
from tests.support.serving import free_port


async def test_a_start_with_the_wrong_keyring_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    Keyring.open(data).seal("t_1", "msg", b"x")
    admin_token(data)
    Keyring.open(other)
    (other / "keyring").replace(data / "keyring")
    (data / "run").mkdir(mode=0o700)
    (data / "run/serve.log").write_text("error: something else.\nhint: Long ago.\n")
    said = await start(data)
    assert "error: The control plane ended right away: " in said
    assert "lacks the master key mk_" in said
    assert "hint: Give it the right keyring" in said
    assert "Long ago" not in said


async def start(data: Path) -> str:
    """What the command says; it ends by itself."""
    settings = {"INNKEEPER_DATA": str(data), "INNKEEPER_RUNTIME": "memory", "INNKEEPER_EDGE": "false"}
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "innkeeper", "serve", "--detach",
        env={**os.environ, **settings, "INNKEEPER_API": f"127.0.0.1:{free_port()}"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await command.communicate()
    assert command.returncode
    return err.decode()
