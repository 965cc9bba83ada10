"""The real agents and a real server of tools: they find the tool, call it, and never have the credential."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from innkeeper.agents.nanobot import Nanobot
from innkeeper.agents.openclaw import OpenClaw
from innkeeper.broker.callers import Caller
from innkeeper.broker.openai import OpenAI
from innkeeper.core.instance import Place
from innkeeper.core.ports import Agent
from innkeeper.core.tools import Outcome
from innkeeper.core.uses import Uses
from tests.agents.seats import BROKER_TOKEN
from tests.agents.test_real import chat, docker, place, running, said, write
from tests.broker.house import Guests, upstream_to
from tests.broker.tool_house import server_at, tool_house
from tests.support.fake_provider import calls_tool, fake_provider
from tests.support.searching import places_of
from tests.support.tool_server import CREDENTIAL, ToolServer

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]
__all__ = ["docker", "place"]


class Lodger(Guests):
    """One tenant, in a container."""

    def __init__(self, address: str) -> None:
        self.at = {address: Caller(tenant="alice", tenant_id="id-alice", epoch=1)}

    def verify(self, token: str, tenant_id: str, epoch: int) -> bool:
        """What seats have."""
        return token == BROKER_TOKEN


@pytest.mark.parametrize(
    ("agent", "image", "called"),
    [
        pytest.param(Nanobot(), "innkeeper/nanobot:0.3.5", "docs_echo", id="nanobot"),
        pytest.param(
            OpenClaw(), "innkeeper/openclaw:2026.9.6", "docs__echo", id="openclaw", marks=pytest.mark.openclaw
        ),
    ],
)
async def test_it_lists_and_calls_a_tool_with_a_credential_that_is_nowhere_in_it(
    docker: aiodocker.Docker,
    place: Place,
    tmp_path: Path,
    agent: Agent,
    image: str,
    called: str,
) -> None:
    tools, folder = ToolServer(), tmp_path / "unit"
    folder.mkdir()
    async with (
        fake_provider() as (fake, url),
        tools.running() as tools_url,
        upstream_to(OpenAI(base_url=f"{url}/v1")) as upstream,
        tool_house(host=place.gateway, guests=Lodger(place.address), upstream=upstream) as house,
    ):
        fake.script = calls_tool(called, {"text": "hello tool"})
        house.give("alice", docs=server_at(tools_url, deny=("secret_*",)))
        uses = Uses(mcp=house.tenants["alice"].spec.uses.mcp)
        write(agent, folder, broker_url=house.url, place=place, uses=uses)
        async with running(docker, agent, image, folder, place) as agent_url:
            answer = said(await chat(agent, agent_url))
            seen = [json.dumps(asked.body) for asked in fake.asked]
            assert "echo: hello tool" in answer, answer
            found = places_of(CREDENTIAL, await lodging(docker, place), folder)
            control = places_of(BROKER_TOKEN, await lodging(docker, place), folder)
    assert tools.called == [("echo", {"text": "hello tool"})]
    assert house.outcomes == [Outcome.OK]
    assert any(called in each for each in seen)
    assert not any("secret_echo" in each for each in seen), "what is denied isn't shown to the model"
    assert found == []
    assert any("memory" in each for each in control), "the search finds what is there"


async def lodging(docker: aiodocker.Docker, place: Place) -> dict[str, Any]:
    """The one container on the network, inspected."""
    network = await (await docker.networks.get(place.network)).show()
    (identifier,) = network["Containers"]
    shown: dict[str, Any] = await (await docker.containers.get(identifier)).show()
    return shown
