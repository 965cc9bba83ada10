"""Tools on the whole path: given by the command line, called by nanobot itself, written down in the trail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.conftest import have_image
from tests.support.fake_provider import calls_tool, fake_provider
from tests.support.installation import Installation, installed
from tests.support.tool_server import CREDENTIAL, ToolServer

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture
async def tools() -> AsyncIterator[tuple[ToolServer, str]]:
    """A server of tools."""
    server = ToolServer()
    async with server.running() as url:
        yield server, url


@pytest.fixture
async def inn(tools: tuple[ToolServer, str]) -> AsyncIterator[Installation]:
    """An Innkeeper whose model calls a tool, and whose settings have a server of tools."""
    async with fake_provider() as (model, url):
        model.script = calls_tool("docs_echo", {"text": "hello tool"})
        headers = {"Authorization": "Bearer ${secret:TOOLS}"}
        servers = json.dumps({"shared": {"url": tools[1], "headers": headers, "deny": ["secret_*"]}})
        settings = {"INNKEEPER_BROKER_PROVIDER": "openai", "INNKEEPER_OPENAI_BASE_URL": f"{url}/v1"}
        async with installed(**settings, INNKEEPER_MCP_SERVERS=servers) as installation:
            yield installation


async def ask(inn: Installation, key: str) -> str:
    async with inn.edge("a", key) as edge:
        body = {"messages": [{"role": "user", "content": "use your tool"}], "stream": True}
        answer = await edge.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_nanobot_is_given_a_tool_and_calls_it(inn: Installation, tools: tuple[ToolServer, str]) -> None:
    await have_image(inn, "nanobot")
    await inn.create("a", agent="nanobot")
    key = await inn.key("a")
    assert "There is no such tool." in await ask(inn, key)

    await inn.cli_json("mcp", "add", "a", "docs", "--settings", "shared")
    (docs,) = await inn.cli_json("mcp", "list", "a")
    assert docs["code"] == "tool_credential_missing"
    done = await inn.cli("secret", "set", "--platform", "TOOLS", stdin=CREDENTIAL)
    assert done.returncode == 0, done.stderr
    await inn.cli_json("tenant", "restart", "a")  # it looks for its tools when it starts
    told = await ask(inn, key)
    assert "echo: hello tool" in told, told
    assert tools[0].called == [("echo", {"text": "hello tool"})]

    (docs,) = await inn.cli_json("mcp", "list", "a")
    assert [(each["name"], each["allowed"]) for each in docs["tools"]] == [("docs__echo", True), (None, False)]
    await inn.stop()
    await inn.start()  # what was still to be written down is there
    entries = await inn.cli_json("audit", "list", "--action", "tool.call")
    (line,) = [each for each in entries if each["action"] == "tool.call"]
    assert (line["tenant"], line["kind"], line["detail"]["tool"]) == ("a", "agent", "echo")
    assert "hello tool" not in json.dumps(line)
    async with inn.api() as api:
        metrics = (await api.get("/metrics")).text
    assert "innkeeper_tool_calls_total" in metrics

    config = inn.data / "tenants/a/persistence/.nanobot"
    assert {path.stat().st_mode & 0o777 for path in map(Path, config.glob("*.*")) if path.is_file()} == {0o600}
    assert "ik_b_" not in (inn.data / "tenants/a/compose.yaml").read_text()

    database = b"".join(path.read_bytes() for path in inn.data.glob("innkeeper.db*"))
    assert CREDENTIAL.encode() not in database
    assert CREDENTIAL not in inn.log()

    await inn.cli_json("mcp", "remove", "a", "docs", "--yes")
    assert await inn.cli_json("mcp", "list", "a") == []
    assert "TOOLS" not in (config / "config.json").read_text() + (config / "model.env").read_text()
