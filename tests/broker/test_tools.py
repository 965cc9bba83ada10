"""Tools through the broker: a tenant's servers joined, credentials put on outside, what isn't allowed not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator

import httpx2
import pytest

from innkeeper.broker.bills import OpenHouse
from innkeeper.broker.callers import Caller
from innkeeper.core.access import ActorKind
from innkeeper.core.errors import Problem
from innkeeper.core.tools import Outcome
from innkeeper.core.uses import McpServer
from tests.broker.house import BOB, NOBODY, TOKENS
from tests.broker.tool_house import ToolHouse, server_at, told, tool_house
from tests.support.tool_server import CREDENTIAL, ToolServer


@pytest.fixture
async def house() -> AsyncIterator[ToolHouse]:
    async with tool_house() as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[tuple[ToolServer, str]]:
    there = ToolServer()
    async with there.running() as url:
        yield there, url


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("stateless", [False, True])
async def test_a_tool_is_listed_and_called_with_a_credential_that_the_agent_never_has(
    house: ToolHouse, mode: str, stateless: bool
) -> None:
    server = ToolServer(stateless=stateless)
    async with server.running() as url:
        house.give("alice", docs=server_at(url))
        async with house.agent(mode=mode) as agent:
            (tool, _) = (await agent.list_tools()).tools
            assert (tool.name, tool.description) == ("docs__echo", "Does echo")
            assert tool.input_schema["properties"] == {"text": {"type": "string"}}
            assert told(await agent.call_tool("docs__echo", {"text": "hi"})) == (False, "echo: hi")
        assert server.called == [("echo", {"text": "hi"})]
        sent = str(server.requests)
        assert CREDENTIAL in sent
        assert TOKENS["id-alice"] not in sent
        assert house.outcomes == [Outcome.OK]


async def test_a_denied_tool_is_not_listed_and_not_callable(house: ToolHouse, server: tuple[ToolServer, str]) -> None:
    there, url = server
    house.give("alice", docs=server_at(url, deny=("secret_*",)))
    assert await house.names() == ["docs__echo"]
    assert await house.call("docs__secret_echo") == (True, "There is no tool 'docs__secret_echo'. List the tools anew.")
    assert await house.call("docs__nothing_of_the_kind") == (
        True,
        "There is no tool 'docs__nothing_of_the_kind'. List the tools anew.",
    )
    house.give("alice", docs=server_at(url, allow=("secret_echo",)))
    assert await house.names() == ["docs__secret_echo"]
    assert (await house.call("docs__echo"))[0]
    assert there.called == []
    assert house.outcomes == [Outcome.REFUSED] * 3


async def test_servers_are_joined_and_their_names_kept_apart(house: ToolHouse, server: tuple[ToolServer, str]) -> None:
    other = ToolServer(credential=None)
    async with other.running() as url:
        house.give("alice", docs=server_at(server[1]), more=McpServer(url=url))
        assert await house.names() == ["docs__echo", "docs__secret_echo", "more__echo", "more__secret_echo"]
        assert await house.call("more__echo", text="there") == (False, "echo: there")
    assert server[0].called == []
    assert len(other.called) == 1
    assert CREDENTIAL not in str(other.requests)


async def test_each_tenant_has_its_own(house: ToolHouse, server: tuple[ToolServer, str]) -> None:
    house.give("alice", docs=server_at(server[1]))
    assert await house.names(BOB) == []
    assert (await house.call("docs__echo", address=BOB))[0]
    assert server[0].requests == []
    async with httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(local_address=BOB),
        headers={"authorization": f"Bearer {TOKENS['id-alice']}"},
    ) as thief:
        assert (await thief.post(f"{house.url}/mcp", json={})).status_code == 401
    async with httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(local_address=NOBODY),
        headers={"authorization": f"Bearer {TOKENS['id-alice']}"},
    ) as stranger:
        assert (await stranger.post(f"{house.url}/mcp", json={})).status_code == 401


async def test_the_settings_servers_get_the_platforms_credential(server: tuple[ToolServer, str]) -> None:
    there, url = server
    there.credential = "the-platforms-own-credential"
    async with tool_house(house={"shared": server_at(url)}) as house:
        house.secrets.put("TOOLS", "the-platforms-own-credential")
        house.give("alice", docs="shared", lost="isnt-there")
        assert await house.call("docs__echo", text="hi") == (False, "echo: hi")
        assert set(house.secrets.revealed) == {("", "TOOLS")}
        seen = {each.name: each for each in await house.tools.seen(house.tenants["alice"])}
        assert seen["docs"].house
        assert seen["lost"].code == "tool_server_unknown"


async def test_an_integrations_token_is_put_in(house: ToolHouse, server: tuple[ToolServer, str]) -> None:
    there, url = server
    there.credential = "github-of-bob"
    house.give("bob", gh=McpServer(url=url, headers={"Authorization": "Bearer ${integration:github}"}))
    assert await house.call("gh__echo", address=BOB, text="x") == (False, "echo: x")


async def test_a_missing_credential_is_told_and_nothing_is_asked(
    house: ToolHouse, server: tuple[ToolServer, str]
) -> None:
    there, url = server
    house.give("alice", docs=McpServer(url=url, headers={"Authorization": "Bearer ${secret:NONE}"}))
    assert await house.names() == []
    failed, words = await house.call("docs__echo")
    assert failed
    assert "The secret 'NONE' for docs can't be had" in words
    assert there.requests == []
    (seen,) = await house.tools.seen(house.tenants["alice"])
    assert seen.code == "tool_credential_missing"


async def test_a_new_value_of_a_secret_counts_from_the_next_request_on(
    house: ToolHouse, server: tuple[ToolServer, str]
) -> None:
    there, url = server
    house.give("alice", docs=server_at(url))
    await house.call("docs__echo")
    there.credential = "another-one-of-the-same-kind"
    house.secrets.put("TOOLS", "another-one-of-the-same-kind", "alice")
    assert (await house.call("docs__echo"))[0] is False


async def test_the_trail_tells_of_every_call_and_keeps_no_arguments(
    house: ToolHouse, server: tuple[ToolServer, str]
) -> None:
    house.give("alice", docs=server_at(server[1], deny=("secret_*",)))
    await house.call("docs__echo", text="my private words")
    await house.call("docs__secret_echo")
    ok, refused = await house.lines()
    assert (ok.action, ok.actor, ok.kind, ok.tenant_id) == ("tool.call", "alice", ActorKind.AGENT, "id-alice")
    assert {"server": "docs", "tool": "echo", "outcome": "ok"}.items() <= dict(ok.detail).items()
    assert "private" not in str(ok)
    assert len(str(ok.detail["arguments_hash"])) >= 32
    assert (refused.detail["outcome"], refused.detail["tool"]) == ("refused", "docs__secret_echo")
    house.give("alice", docs=server_at(server[1], keep_arguments=True))
    await house.call("docs__echo", text="kept")
    assert (await house.lines())[-1].detail["arguments"] == {"text": "kept"}


def test_who_has_no_tools_doesnt_pay_for_them() -> None:
    program = "import sys, innkeeper.wiring; print('mcp' in sys.modules or 'mcp_types' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False", "17 MB, and half a second at every start"


async def test_calls_of_tools_count_towards_the_tenants_rate(server: tuple[ToolServer, str]) -> None:
    async with tool_house(till=Closing(after=1)) as house:
        house.give("alice", docs=server_at(server[1]))
        assert (await house.call("docs__echo"))[0] is False
        assert await house.call("docs__echo") == (True, "That was enough.")
        assert await house.names() != [], "to look costs nothing"
    assert len(server[0].called) == 1


class Closing(OpenHouse):
    """Lets so many calls pass, and no more."""

    def __init__(self, *, after: int) -> None:
        self._left = after

    def knock(self, caller: Caller) -> None:
        """Count one."""
        self._left -= 1
        if self._left < 0:
            raise Problem("That was enough.")
