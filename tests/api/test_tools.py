"""A tenant's tools by the API: what its servers have, what is kept back, what doesn't answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.bench import Bench
from tests.support.tool_server import CREDENTIAL, ToolServer

HEADERS = {"Authorization": "Bearer ${secret:TOOLS}"}


async def give(bench: Bench, servers: dict[str, Any]) -> None:
    async with bench.client() as client:
        changed = await client.patch("/v1/tenants/alice", json={"uses": {"mcp": servers}})
        assert changed.status_code == 202, changed.text
        operation = changed.json()["id"]
    ended = await bench.house.control.wait(operation, timeout_s=20)
    assert ended.status == "done", ended


async def tools(bench: Bench, name: str = "alice") -> list[dict[str, Any]]:
    async with bench.client() as client:
        answer = await client.get(f"/v1/tenants/{name}/tools")
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


async def test_offered_and_denied_tools_and_servers_that_dont_answer_are_told(bench: Bench) -> None:
    await bench.tenant()
    bench.secrets.put("TOOLS", CREDENTIAL, "alice")
    async with ToolServer().running() as url:
        broken = {"url": "http://127.0.0.1:9/mcp?token=not-to-be-told"}
        await give(bench, {"docs": {"url": url, "headers": HEADERS, "deny": ["secret_*"]}, "off": broken, "lost": "no"})
        docs, off, lost = await tools(bench)
    assert (docs["name"], docs["house"], docs["error"]) == ("docs", False, None)
    assert [(each["tool"], each["name"], each["allowed"]) for each in docs["tools"]] == [
        ("echo", "docs__echo", True),
        ("secret_echo", None, False),
    ]
    assert (off["code"], off["url"]) == ("tool_server_unreachable", "http://127.0.0.1:9/mcp")
    assert off["last_error"] == off["error"]
    assert lost["code"] == "tool_server_unknown"


async def test_a_missing_secret_is_told_by_its_name(bench: Bench) -> None:
    await bench.tenant()
    async with ToolServer().running() as url:
        await give(bench, {"docs": {"url": url, "headers": HEADERS}})
        (docs,) = await tools(bench)
    assert docs["code"] == "tool_credential_missing"
    assert "TOOLS" in docs["error"]


async def test_a_tenant_without_servers_has_no_tools(bench: Bench) -> None:
    await bench.tenant()
    assert await tools(bench) == []
    async with bench.client() as client:
        assert (await client.get("/v1/tenants/nobody/tools")).json()["code"] == "unknown_tenant"


async def test_an_agent_is_started_anew_when_its_tools_change(bench: Bench) -> None:
    await bench.tenant()
    before = (await bench.house.tenant()).remade_at
    await give(bench, {"docs": {"url": "https://docs.example.com/mcp"}})
    after = await bench.house.tenant()
    assert after.remade_at > before


@pytest.mark.parametrize(
    "server",
    [
        {"url": "file:///etc/passwd"},
        {"url": "https://docs.example.com", "headers": {"Authorization": "Bearer written-out"}},
        {"url": "https://docs.example.com", "headers": {"X\n": "y"}},
        {},
    ],
)
async def test_what_cant_be_a_server_is_refused(bench: Bench, server: dict[str, Any]) -> None:
    await bench.tenant()
    async with bench.client() as client:
        refused = await client.patch("/v1/tenants/alice", json={"uses": {"mcp": {"docs": server}}})
    assert refused.status_code == 400
