"""The exit door: what the compose file says, and that the real thing runs real agents with a model of one's own."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiodocker
import httpx2
import pytest
import yaml

from innkeeper.agents import model, openclaw_config
from innkeeper.agents.nanobot import Nanobot
from innkeeper.agents.openclaw import OpenClaw
from innkeeper.core.instance import Place
from innkeeper.core.ports import Agent, Blueprint
from innkeeper.core.tenant import Limits
from innkeeper.core.uses import McpServer, Uses
from innkeeper.runtimes.docker_profile import container_config
from innkeeper.units import compose
from innkeeper.units.compose import keep_settings, render_compose
from innkeeper.units.layout import FolderUnits
from tests.agents.seats import GATEWAY_TOKEN, seat_for, spec_for
from tests.support.chromium import chromium, there_is_chromium
from tests.support.control_ui import says_hello
from tests.support.fake_provider import FakeProvider
from tests.support.serving import free_port, serving

BLUEPRINT = Blueprint(
    tenant="alice",
    tenant_id="t_1",
    revision=1,
    slot=7,
    agent="custom",
    release="1",
    image="sha256:" + "ab" * 32,
    limits=Limits(memory_mb=300, cpus=0.5, pids=99),
    persistence="/srv/tenants/alice/persistence",
    mount="/data",
    command=("sh", "-c", 'echo "${HOME:-none}" $$'),
    env={"PRICE": "5$", "GREETING": "grüß: 'dich'\n# \"x\""},
)


def service_of(blueprint: Blueprint, port: int = 8080) -> dict[str, Any]:
    service: dict[str, Any] = yaml.safe_load(render_compose(blueprint, port=port)[0])["services"]["agent"]
    return service


def test_it_says_what_innkeeper_asks_the_engine_for() -> None:
    place = Place(network="n", address="10.0.0.2", gateway="10.0.0.1")
    asked = container_config(BLUEPRINT, place, namespace="n", pool="p", dns=[], host_has_ipv6=False)
    host, service = asked["HostConfig"], service_of(BLUEPRINT)
    assert service["image"] == asked["Image"]
    assert service["hostname"] == asked["Hostname"] == "alice"
    assert service["user"] == asked["User"]
    assert service["read_only"] is host["ReadonlyRootfs"] is True
    assert service["init"] is host["Init"] is True
    assert service["cap_drop"] == host["CapDrop"]
    assert service["security_opt"] == host["SecurityOpt"]
    assert service["pids_limit"] == host["PidsLimit"]
    assert service["mem_limit"] == f"{host['Memory'] >> 20}m"
    assert service["cpus"] == host["NanoCpus"] / 1e9
    assert service["tmpfs"] == [f"{path}:{options}" for path, options in host["Tmpfs"].items()]
    assert service["restart"] == host["RestartPolicy"]["Name"]
    assert service["logging"]["options"] == host["LogConfig"]["Config"]
    assert service["volumes"] == [{"type": "bind", "source": "./persistence", "target": "/data"}]
    assert [unescaped(word) for word in [*service["entrypoint"], *service["command"]]] == list(BLUEPRINT.command)
    assert asked["Env"] == [unescaped(line) for line in service["environment"][:2]]


def unescaped(text: str) -> str:
    """What compose makes of it; a lone dollar would be a substitution."""
    assert "$" not in text.replace("$$", "")
    return text.replace("$$", "$")


def test_its_port_is_on_loopback_and_its_name_is_never_one_of_innkeepers() -> None:
    service = service_of(BLUEPRINT, port=18789)
    assert service["ports"] == ["127.0.0.1:${PORT}:18789"]
    assert "_" in service["container_name"]
    assert "PORT=19107" in render_compose(BLUEPRINT, port=1)[1].splitlines()


def test_an_image_without_a_command_keeps_its_own() -> None:
    assert not {"command", "entrypoint"} & service_of(replace(BLUEPRINT, command=())).keys()


def test_the_model_goes_where_agents_look_for_it() -> None:
    assert compose.MODEL == {
        model.URL: "MODEL_BASE_URL",
        model.KEY: "MODEL_API_KEY",
        model.NAME: "MODEL_NAME",
    }
    environment = service_of(BLUEPRINT)["environment"]
    assert f"{model.URL}=${{MODEL_BASE_URL:-}}" in environment


def test_openclaw_is_told_that_there_is_no_edge() -> None:
    names = {line.partition("=")[0] for line in compose.NO_EDGE}
    assert names == {openclaw_config.LOGIN, openclaw_config.ORIGIN}
    environment = service_of(BLUEPRINT)["environment"]
    assert f"{openclaw_config.LOGIN}=password" in environment
    assert f"{openclaw_config.ORIGIN}=http://127.0.0.1:${{PORT}}" in environment


def test_settings_of_before_are_kept_in_their_places() -> None:
    new = "# about the port\nPORT=19107\n# MODEL_BASE_URL=https://x\n# MODEL_API_KEY=\n"
    assert keep_settings(new, "") == new
    assert keep_settings(new, new) == new
    before = "PORT=7\nMODEL_API_KEY=a=b\n# MODEL_BASE_URL=http://no\nOWN=1\nnonsense\n"
    kept = "# about the port\nPORT=7\n# MODEL_BASE_URL=https://x\nMODEL_API_KEY=a=b\nOWN=1\n"
    assert keep_settings(new, before) == kept
    assert keep_settings(new, kept) == kept


# --- the real thing ---------------------------------------------------------------------------------------------------


def compose_command() -> list[str]:
    """The old program or the new plugin, whichever is there."""
    return ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]


async def run_compose(folder: Path, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *compose_command(), *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@pytest.fixture
async def docker() -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker() as client:
        yield client


async def write_unit(units: FolderUnits, agent: Agent, tenant: str, image: str) -> None:
    """The unit as a control plane leaves it, with a broker that isn't there any more."""
    spec = spec_for(agent)
    blueprint = Blueprint(
        tenant=tenant,
        tenant_id="t_1",
        revision=1,
        slot=0,
        agent=agent.name,
        release="1",
        image=image,
        limits=agent.limits,
        persistence=units.persistence(tenant),
        mount=agent.mount(spec),
        command=agent.command(spec),
        env=agent.env(spec),
    )
    text, env = render_compose(blueprint, port=agent.probe(spec).port)
    uses = Uses(mcp={"docs": McpServer(url="http://192.0.2.7:1")})
    seat = seat_for(agent, broker_url="http://192.0.2.7:8701", uses=uses)
    await units.write(tenant, agent.render(seat, {}), compose=text, env=env)


async def host_gateway(docker: aiodocker.Docker) -> str:
    """Where host.docker.internal leads."""
    bridge = await (await docker.networks.get("bridge")).show()
    subnet = ipaddress.ip_network(bridge["IPAM"]["Config"][0]["Subnet"])
    return str(subnet[1])


@asynccontextmanager
async def up(folder: Path) -> AsyncIterator[None]:
    """The unit's container, run by compose and nothing else."""
    try:
        await run_compose(folder, "up", "-d")
        yield
    finally:
        await run_compose(folder, "down", "--timeout", "5")


async def until_ready(agent: Agent, url: str) -> None:
    # Without the probe's headers: they speak of a proxy, and here is none.
    probe = agent.probe(spec_for(agent))
    async with asyncio.timeout(agent.start_timeout_s), httpx2.AsyncClient(trust_env=False) as client:
        while True:
            try:
                answer = await client.get(url + probe.path, timeout=probe.timeout_s)
            except httpx2.HTTPError:
                await asyncio.sleep(0.2)
                continue
            if agent.is_ready(answer.status_code, answer.content):
                return
            await asyncio.sleep(0.2)


@pytest.mark.docker
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("agent", "image"),
    [
        pytest.param(Nanobot(), "innkeeper/nanobot:0.3.5", id="nanobot"),
        pytest.param(OpenClaw(), "innkeeper/openclaw:2026.9.6", id="openclaw", marks=pytest.mark.openclaw),
    ],
)
async def test_a_real_agent_runs_without_innkeeper_and_without_its_tools(
    docker: aiodocker.Docker, tmp_path: Path, agent: Agent, image: str
) -> None:
    provider = FakeProvider()
    async with alone(docker, tmp_path, agent, image, provider) as url:
        if isinstance(agent, OpenClaw) and there_is_chromium():
            await its_page_opens(url)
        answer = await chat(agent, url)
        refused = await chat(agent, url, token="wrong")
        forged = await chat(agent, url, token="wrong", **FORGED)
    assert json.loads(answer.text)["choices"][0]["message"]["content"] == "Hello there."
    assert provider.asked[0].headers["authorization"] == "Bearer of-my-own"
    assert provider.asked[0].body["model"] == "mine"
    assert refused.status_code == 401
    assert forged.status_code in (401, 403)


async def its_page_opens(url: str) -> None:
    """Its web interface, for whom its own login lets in."""
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(url)
        await page.get_by_role("textbox", name="Gateway secret").fill(GATEWAY_TOKEN)
        await page.get_by_role("button", name="Connect", exact=True).click()
        await says_hello(page)


@asynccontextmanager
async def alone(
    docker: aiodocker.Docker, folder: Path, agent: Agent, image: str, provider: FakeProvider
) -> AsyncIterator[str]:
    """The URL of a ready agent that compose runs, with a model of its owner's."""
    units, tenant, port = FolderUnits(folder), f"unittest-{secrets.token_hex(4)}", free_port()
    await write_unit(units, agent, tenant, (await docker.images.inspect(image))["Id"])
    async with serving(provider, await host_gateway(docker)) as url:
        own = f"http://host.docker.internal:{httpx2.URL(url).port}/v1"
        settings = f"PORT={port}\nMODEL_BASE_URL={own}\nMODEL_API_KEY=of-my-own\nMODEL_NAME=mine\n"
        (folder / tenant / ".env").write_text(settings)
        async with up(folder / tenant):
            await until_ready(agent, f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"


FORGED = {"X-Forwarded-User": "owner", "X-Forwarded-Proto": "http", "X-Forwarded-For": "192.0.2.1"}
"""What the edge says of somebody, said by nobody."""


async def chat(agent: Agent, url: str, *, token: str = GATEWAY_TOKEN, **headers: str) -> httpx2.Response:
    """One turn, with the one credential that its owner finds in the agent's config."""
    name = agent.chat_model(spec_for(agent))
    body = {"messages": [{"role": "user", "content": "hello"}], **({"model": name} if name else {})}
    headers["Authorization"] = f"Bearer {token}"
    async with httpx2.AsyncClient(timeout=120, trust_env=False) as client:
        return await client.post(f"{url}/v1/chat/completions", json=body, headers=headers)
