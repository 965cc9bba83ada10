"""Where agents find their tools: at the broker, when they have any, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from innkeeper.agents.nanobot import Nanobot
from innkeeper.agents.openclaw import OpenClaw
from innkeeper.core.ports import Agent
from innkeeper.core.specs import same_instance
from innkeeper.core.uses import NO_USES, Budget, McpServer, Uses
from tests.agents.seats import BROKER_TOKEN, seat_for, spec_for

DOCS = McpServer(url="https://docs.example.com/mcp", headers={"Authorization": "Bearer ${secret:DOCS}"})
TOOLS = Uses(mcp={"docs": DOCS})
CONFIGS = {"nanobot": ".nanobot/config.json", "openclaw": ".openclaw/openclaw.json"}


def files(agent: Agent, uses: Uses, existing: dict[str, Any] | None = None) -> dict[str, bytes]:
    before = {} if existing is None else {CONFIGS[agent.name]: json.dumps(existing).encode()}
    return {file.path: file.content for file in agent.render(seat_for(agent, uses=uses), before)}


def config(agent: Agent, uses: Uses, existing: dict[str, Any] | None = None) -> dict[str, Any]:
    tree = json.loads(files(agent, uses, existing)[CONFIGS[agent.name]])
    assert isinstance(tree, dict)
    return tree


def test_openclaw_finds_them_at_the_broker() -> None:
    tree = config(OpenClaw(), TOOLS)
    server = tree["mcp"]["servers"]["innkeeper"]
    assert (server["url"], server["transport"]) == ("${INNKEEPER_TOOLS_URL}", "streamable-http")
    assert server["headers"] == {"Authorization": "Bearer ${INNKEEPER_TOOLS_KEY}"}
    assert tree["env"]["vars"]["INNKEEPER_TOOLS_URL"] == "http://10.9.0.1:8701/mcp"
    assert tree["env"]["vars"]["INNKEEPER_TOOLS_KEY"] == BROKER_TOKEN


def test_nanobot_finds_them_at_the_broker_and_may_connect_there() -> None:
    tree = config(
        Nanobot(), TOOLS, {"tools": {"ssrfWhitelist": ["100.64.0.0/10"], "mcpServers": {"own": {"url": "x"}}}}
    )
    server = tree["tools"]["mcpServers"]["innkeeper"]
    assert (server["type"], server["url"]) == ("streamableHttp", "${INNKEEPER_TOOLS_URL}")
    assert tree["tools"]["mcpServers"]["own"] == {"url": "x"}
    assert tree["tools"]["ssrfWhitelist"] == ["100.64.0.0/10", "10.9.0.1/32"]
    assert config(Nanobot(), TOOLS, tree) == tree
    assert b"INNKEEPER_TOOLS_KEY" in files(Nanobot(), TOOLS)[".nanobot/model.env"]


@pytest.mark.parametrize("agent", [Nanobot(), OpenClaw()], ids=lambda agent: agent.name)
def test_one_without_tools_is_told_of_none(agent: Agent) -> None:
    rendered = files(agent, NO_USES)
    assert b"mcp" not in b"".join(rendered.values()).lower().replace(b"mcp-", b"")
    assert b"INNKEEPER_TOOLS" not in b"".join(rendered.values())


@pytest.mark.parametrize("agent", [Nanobot(), OpenClaw()], ids=lambda agent: agent.name)
def test_with_the_last_server_goes_the_endpoint(agent: Agent) -> None:
    assert "INNKEEPER_TOOLS" not in json.dumps(config(agent, NO_USES, config(agent, TOOLS)))


@pytest.mark.parametrize("agent", [Nanobot(), OpenClaw()], ids=lambda agent: agent.name)
def test_nothing_of_the_servers_themselves_is_told(agent: Agent) -> None:
    everything = b"".join(files(agent, TOOLS).values())
    assert b"docs.example.com" not in everything
    assert b"secret:" not in everything


@pytest.mark.parametrize(
    ("uses", "same"),
    [
        (TOOLS, True),
        (Uses(mcp={"docs": DOCS}, budget=Budget(day_tokens=1)), True),
        (Uses(mcp={"docs": McpServer(url=DOCS.url, headers={"X": "${secret:NEW}"})}), True),
        (Uses(mcp={"docs": McpServer(url=DOCS.url, deny=("x",))}), False),
        (Uses(mcp={"docs": McpServer(url="https://elsewhere.example.com")}), False),
        (Uses(mcp={"docs": DOCS, "more": "shared"}), False),
        (NO_USES, False),
    ],
)
def test_an_agent_is_made_again_for_other_tools_and_not_for_how_they_are_reached(uses: Uses, same: bool) -> None:
    agent = Nanobot()
    assert same_instance(spec_for(agent, uses=TOOLS), spec_for(agent, uses=uses)) is same
