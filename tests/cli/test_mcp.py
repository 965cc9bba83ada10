"""Servers of tools by the command line."""

from __future__ import annotations

from innkeeper.core.uses import McpServer
from tests.api.bench import Bench
from tests.cli.conftest import Run
from tests.support.tool_server import CREDENTIAL, ToolServer


async def test_servers_are_given_looked_at_and_taken(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    bench.secrets.put("TOOLS", CREDENTIAL, "alice")
    async with ToolServer().running() as url:
        header = ("--header", "Authorization: Bearer ${secret:TOOLS}")
        added = await inn("mcp", "add", "alice", "docs", url, *header, "--deny", "secret_*")
        assert (added.code, added.out) == (0, "alice has tools of docs\n"), added.err
        assert (await inn("mcp", "add", "alice", "shared", "--settings", "github")).code == 0
        assert (await bench.house.tenant()).spec.uses.mcp == {
            "docs": McpServer(url=url, headers={"Authorization": "Bearer ${secret:TOOLS}"}, deny=("secret_*",)),
            "shared": "github",
        }
        listed = await inn("mcp", "list", "alice")
    assert listed.out.splitlines()[0].split() == ["SERVER", "TOOL", "THE", "AGENT'S", "NAME", "STATE"]
    assert [line.split() for line in listed.out.splitlines()[1:]] == [
        ["docs", "echo", "docs__echo", "offered"],
        ["docs", "secret_echo", "denied"],
    ]
    assert "shared: The settings have no server of tools called 'github'." in listed.err
    assert len((await inn("mcp", "list", "alice", "--json")).document) == 2

    assert (await inn("mcp", "remove", "alice", "docs")).code == 2, "it asks"
    assert (await inn("mcp", "remove", "alice", "docs", "--yes")).out == "alice has tools of shared\n"
    assert (await inn("mcp", "remove", "alice", "docs", "--yes")).code == 2
    assert (await inn("mcp", "remove", "alice", "shared", "--yes")).out == "alice has no servers of tools\n"


async def test_what_makes_no_sense(inn: Run, bench: Bench) -> None:
    await bench.tenant()
    assert (await inn("mcp", "add", "alice", "docs")).code == 2
    assert (await inn("mcp", "add", "alice", "docs", "https://x.example.com", "--settings", "github")).code == 2
    assert (await inn("mcp", "add", "alice", "docs", "--settings", "github", "--deny", "x")).code == 2
    assert (await inn("mcp", "add", "alice", "docs", "https://x.example.com", "--header", "nonsense")).code == 2
    written_out = await inn("mcp", "add", "alice", "docs", "https://x.example.com", "--header", "X-Token: abcdef123")
    assert written_out.code == 2
    assert "abcdef123" not in written_out.err
    assert (await inn("mcp", "list", "nobody")).code == 3
