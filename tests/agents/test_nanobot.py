"""nanobot's config, variables, probe and entrance, without nanobot."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from innkeeper.agents.nanobot import Nanobot
from innkeeper.core.errors import AgentConfigInvalid
from tests.agents.seats import BROKER_TOKEN, GATEWAY_TOKEN, seat_for, spec_for

AGENT = Nanobot()
CONFIG, MODEL = ".nanobot/config.json", ".nanobot/model.env"


def rendered(existing: dict[str, Any] | None = None) -> dict[str, Any]:
    files = {} if existing is None else {CONFIG: json.dumps(existing).encode()}
    by_path = {file.path: file.content for file in AGENT.render(seat_for(AGENT), files)}
    tree = json.loads(by_path[CONFIG])
    assert isinstance(tree, dict)
    return tree


def sourced(tmp_path: Path, **environment: str) -> dict[str, str]:
    """What a shell makes of the rendered model.env."""
    files = {file.path: file.content for file in AGENT.render(seat_for(AGENT), {})}
    (tmp_path / "model.env").write_bytes(files[MODEL])
    done = subprocess.run(
        ["sh", "-c", '. "$0" && env', str(tmp_path / "model.env")],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("INNKEEPER_"))


def test_it_asks_for_its_key_and_points_at_the_broker() -> None:
    tree = rendered()
    assert tree["api"] == {"host": "0.0.0.0", "port": 8900, "apiKey": GATEWAY_TOKEN}
    assert tree["agents"]["defaults"] == {
        "workspace": "/data/workspace",
        "provider": "custom",
        "model": "${INNKEEPER_MODEL_NAME}",
    }


def test_its_variables_are_the_brokers(tmp_path: Path) -> None:
    assert sourced(tmp_path) == {
        "INNKEEPER_MODEL_BASE_URL": "http://10.9.0.1:8701/v1",
        "INNKEEPER_MODEL_API_KEY": BROKER_TOKEN,
        "INNKEEPER_MODEL_NAME": "demo",
    }


def test_the_environment_goes_before_the_broker(tmp_path: Path) -> None:
    assert sourced(tmp_path, INNKEEPER_MODEL_NAME="mine")["INNKEEPER_MODEL_NAME"] == "mine"


@pytest.mark.parametrize("model", ["$(id)", "`id`", 'a"b', "a b", "a\nb", ""])
def test_nothing_a_shell_would_run_gets_into_its_variables(model: str) -> None:
    with pytest.raises(AgentConfigInvalid):
        AGENT.render(seat_for(AGENT, model=model), {})


def test_a_users_own_provider_stays() -> None:
    own: dict[str, Any] = {
        "agents": {"defaults": {"provider": "anthropic", "model": "claude"}},
        "tools": {"web": {"enable": False}},
    }
    tree = rendered(own)
    assert tree["agents"]["defaults"] == {"workspace": "/data/workspace", **own["agents"]["defaults"]}
    assert tree["tools"] == own["tools"]
    assert tree["api"]["apiKey"] == GATEWAY_TOKEN


def test_rendering_again_changes_nothing() -> None:
    first = AGENT.render(seat_for(AGENT), {})
    assert AGENT.render(seat_for(AGENT), {file.path: file.content for file in first}) == first


@pytest.mark.parametrize(
    ("status", "body", "ready"),
    [
        (200, b'{"status": "ok"}', True),
        (200, b'{"status": "starting"}', False),
        (500, b'{"status": "ok"}', False),
        (200, b"ok", False),
        (200, b'"ok"', False),
    ],
)
def test_readiness_is_in_the_body(status: int, body: bytes, ready: bool) -> None:
    assert AGENT.is_ready(status, body) is ready


def test_no_token_is_in_its_command_or_environment() -> None:
    spec = spec_for(AGENT)
    shown = " ".join([*AGENT.command(spec), *AGENT.env(spec).values()])
    assert GATEWAY_TOKEN not in shown
    assert BROKER_TOKEN not in shown
