"""The real agents in their real images under the whole hardening profile: they boot from what we render, and chat."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiodocker
import httpx2
import pytest

from innkeeper.agents.nanobot import Nanobot
from innkeeper.agents.openclaw import OpenClaw
from innkeeper.core.instance import Place
from innkeeper.core.ladder import Rung
from innkeeper.core.ports import Agent, Blueprint, Probe
from innkeeper.core.tenant import Access
from innkeeper.core.uses import NO_USES, Uses
from innkeeper.runtimes.docker_profile import container_config
from tests.agents.seats import BROKER_TOKEN, GATEWAY_TOKEN, seat_for, spec_for
from tests.support.fake_provider import FakeProvider
from tests.support.serving import serving

pytestmark = pytest.mark.docker


@pytest.fixture
async def docker() -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker() as client:
        yield client


@pytest.fixture
async def place(docker: aiodocker.Docker) -> AsyncIterator[Place]:
    """A bridge of the test's own."""
    name = f"imgtest-{secrets.token_hex(4)}"
    # A random piece of the range that is set aside for test networks.
    subnet = ipaddress.ip_network((int(ipaddress.ip_address("198.18.0.0")) + 16 * secrets.randbelow(8192), 28))
    gateway, address = subnet[1], subnet[9]
    network = await docker.networks.create(
        {"Name": name, "Driver": "bridge", "IPAM": {"Config": [{"Subnet": str(subnet), "Gateway": str(gateway)}]}}
    )
    try:
        yield Place(network=name, address=str(address), gateway=str(gateway))
    finally:
        await network.delete()


def write(
    agent: Agent,
    folder: Path,
    *,
    broker_url: str,
    place: Place,
    access: Access = Access.KEY,
    uses: Uses = NO_USES,
) -> None:
    """Put the rendered files where the container finds them, as a unit would."""
    existing = {path: (folder / path).read_bytes() for path in agent.config_paths() if (folder / path).is_file()}
    seat = seat_for(agent, broker_url=broker_url, edge_address=place.gateway, access=access, uses=uses)
    for file in agent.render(seat, existing):
        path = folder / file.path
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(0o600)
        os.chown(path, 1000, 1000)
        os.chown(path.parent, 1000, 1000)
    os.chown(folder, 1000, 1000)


@asynccontextmanager
async def running(
    docker: aiodocker.Docker, agent: Agent, image: str, folder: Path, place: Place, **env: str
) -> AsyncIterator[str]:
    """The URL of a ready instance."""
    spec = spec_for(agent)
    blueprint = Blueprint(
        tenant="alice", tenant_id="t", revision=1, slot=0, agent=agent.name, release="1", image=image,
        limits=agent.limits, persistence=str(folder), mount=agent.mount(spec), command=agent.command(spec),
        env={**agent.env(spec), **env},
    )  # fmt: skip
    config = container_config(
        blueprint, place, namespace="imgtest", pool="imgtest", dns=["192.0.2.53"], host_has_ipv6=False
    )
    container = await docker.containers.create(config, name=f"imgtest-{secrets.token_hex(4)}")
    try:
        await container.start()
        url = f"http://{place.address}:{agent.probe(spec).port}"
        async with asyncio.timeout(agent.start_timeout_s):
            while not await is_ready(agent, url):
                assert (await container.show())["State"]["Running"], await container.log(stdout=True, stderr=True)
                await asyncio.sleep(0.2)
        yield url
    finally:
        await container.delete(force=True, v=True)


async def is_ready(agent: Agent, url: str) -> bool:
    probe = agent.probe(spec_for(agent))
    async with httpx2.AsyncClient(timeout=probe.timeout_s, trust_env=False) as client:
        try:
            answer = await client.get(url + probe.path, headers=dict(probe.headers))
        except httpx2.HTTPError:
            return False
    return agent.is_ready(answer.status_code, answer.content)


BY_THE_EDGE = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}
"""What comes with every request that Caddy passes on."""


async def chat(agent: Agent, url: str, *, headers: Mapping[str, str] | None = None) -> httpx2.Response:
    """One streamed turn, as through the edge."""
    spec = spec_for(agent)
    model = agent.chat_model(spec)
    body = {"messages": [{"role": "user", "content": "hello"}], "stream": True, **({"model": model} if model else {})}
    sent = {**BY_THE_EDGE, **agent.entrance(spec, GATEWAY_TOKEN).headers, **(headers or {})}
    async with httpx2.AsyncClient(timeout=90, trust_env=False) as client:
        return await client.post(f"{url}/v1/chat/completions", json=body, headers=sent)


def said(answer: httpx2.Response) -> str:
    """The text of a streamed answer."""
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def test_nanobot_chats_without_dns(docker: aiodocker.Docker, place: Place, tmp_path: Path) -> None:
    agent, provider = Nanobot(), FakeProvider()
    async with serving(provider, place.gateway) as broker:
        write(agent, tmp_path, broker_url=broker, place=place)
        async with running(docker, agent, "innkeeper/nanobot:0.3.5", tmp_path, place) as url:
            answer = await chat(agent, url)
            refused = await chat(agent, url, headers={"Authorization": "Bearer wrong"})
    assert said(answer) == "Hello there."
    assert refused.status_code == 401
    assert provider.asked[0].headers["authorization"] == f"Bearer {BROKER_TOKEN}"
    assert provider.asked[0].body["model"] == "demo"


async def test_nanobot_uses_the_model_of_its_environment(
    docker: aiodocker.Docker, place: Place, tmp_path: Path
) -> None:
    agent, provider = Nanobot(), FakeProvider()
    async with serving(provider, place.gateway) as own:
        write(agent, tmp_path, broker_url="http://192.0.2.7:1", place=place)
        env = {
            "INNKEEPER_MODEL_BASE_URL": f"{own}/v1",
            "INNKEEPER_MODEL_API_KEY": "of-my-own",
            "INNKEEPER_MODEL_NAME": "mine",
        }
        async with running(docker, agent, "innkeeper/nanobot:0.3.5", tmp_path, place, **env) as url:
            answer = await chat(agent, url)
    assert said(answer) == "Hello there."
    assert provider.asked[0].headers["authorization"] == "Bearer of-my-own"
    assert provider.asked[0].body["model"] == "mine"


async def ask(url: str, probe: Probe | None, **other: object) -> httpx2.Response:
    """Put one of the adapter's questions, or another with its credentials."""
    assert probe is not None
    async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:
        return await client.post(url + probe.path, json=other or probe.json, headers=dict(probe.headers))


async def job_list(agent: Agent, url: str) -> bytes:
    answer = await ask(url, agent.jobs(spec_for(agent), GATEWAY_TOKEN))
    assert answer.status_code == 200, answer.text
    return answer.content


async def its_missed_runs_are_made_up_for(agent: Agent, url: str, provider: FakeProvider) -> None:
    """A job of its own scheduler is found, its runs in a stretch of time counted, and one of them made up for."""
    spec = spec_for(agent)
    added = await ask(
        url,
        agent.jobs(spec, GATEWAY_TOKEN),
        method="cron.add",
        params={
            "name": "every new year",
            "schedule": {"kind": "cron", "expr": "0 0 1 1 *", "tz": "UTC"},
            "sessionTarget": "isolated",
            "wakeMode": "now",
            "payload": {"kind": "agentTurn", "message": "Wish them a happy new year."},
            "delivery": {"mode": "none"},
        },
    )
    job = added.json()["payload"]["id"]
    begin, end = datetime(2024, 12, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert agent.missed(200, await job_list(agent, url), begin, end)[job] == 2

    for times in (1, 2):
        run = await ask(url, agent.run_job(spec, GATEWAY_TOKEN, job, datetime.now(UTC)))
        assert run.json()["ok"], run.text
        async with asyncio.timeout(60):
            while sum("happy new year" in json.dumps(asked.body) for asked in provider.asked) < times:
                await asyncio.sleep(0.1)
            while not agent.jobs_at_rest(200, await job_list(agent, url), datetime.now(UTC))[job]:
                await asyncio.sleep(0.1)


async def it_goes_to_sleep_and_on(agent: Agent, url: str) -> None:
    """It says when its scheduler next has work, gives its consent, and takes work again."""
    spec = spec_for(agent)
    due = await ask(url, agent.next_run(spec, GATEWAY_TOKEN))
    assert agent.run_at(due.status_code, due.content)
    async with asyncio.timeout(60):
        while True:
            asked = await ask(url, agent.suspend(spec, GATEWAY_TOKEN, Rung.PAUSED))
            consent = agent.consent(asked.status_code, asked.content)
            if consent.objection is None:
                break
            await asyncio.sleep(0.2)
    assert consent.suspension
    resumed = await ask(url, agent.resume(spec, GATEWAY_TOKEN, consent.suspension))
    assert resumed.json()["ok"], resumed.text


async def forged_by_a_neighbour(docker: aiodocker.Docker, place: Place, url: str) -> str:
    """The status that another container of the same network gets, when it says what the edge would say."""
    headers = {**BY_THE_EDGE, "X-Forwarded-User": "innkeeper", "X-OpenClaw-Scopes": "operator.admin"}
    asks = f"fetch({json.dumps(url + '/v1/models')}, {{headers: {json.dumps(headers)}}})"
    config: dict[str, Any] = {
        "Image": "innkeeper/openclaw:2026.9.6",
        "Entrypoint": ["node", "-e", f"{asks}.then(answer => console.log(answer.status))"],
        "HostConfig": {"NetworkMode": place.network},
    }
    container = await docker.containers.create(config, name=f"imgtest-{secrets.token_hex(4)}")
    try:
        await container.start()
        await container.wait()
        return "".join(await container.log(stdout=True, stderr=True)).strip()
    finally:
        await container.delete(force=True, v=True)


async def test_what_node_compiles_of_openclaw_is_in_its_image(docker: aiodocker.Docker) -> None:
    config: dict[str, Any] = {
        "Image": "innkeeper/openclaw:2026.9.6",
        "Entrypoint": ["node", "dist/index.js", "--version"],
        "Env": ["NODE_DEBUG_NATIVE=COMPILE_CACHE"],
        "HostConfig": {"ReadonlyRootfs": True, "CapDrop": ["ALL"], "NetworkMode": "none"},
    }
    container = await docker.containers.create(config, name=f"imgtest-{secrets.token_hex(4)}")
    try:
        await container.start()
        await container.wait()
        told = "".join(await container.log(stdout=True, stderr=True))
    finally:
        await container.delete(force=True, v=True)
    used = [line for line in told.splitlines() if "V8 code cache for" in line]
    missing = [line for line in used if "was accepted" not in line]
    assert len(used) > 50, told[-2000:]
    assert len(missing) < len(used) / 10, missing  # only what a gateway doesn't load


@pytest.mark.openclaw
@pytest.mark.timeout(400)
async def test_openclaw_with_its_own_login_wants_the_token(
    docker: aiodocker.Docker, place: Place, tmp_path: Path
) -> None:
    agent, provider = OpenClaw(), FakeProvider()
    token = agent.entrance(spec_for(agent, access=Access.OPEN), GATEWAY_TOKEN).headers
    async with serving(provider, place.gateway) as broker:
        write(agent, tmp_path, broker_url=broker, place=place, access=Access.OPEN)
        async with running(docker, agent, "innkeeper/openclaw:2026.9.6", tmp_path, place) as url:
            answer = await chat(agent, url, headers=token)
            refused = await chat(agent, url, headers={"Authorization": "Bearer wrong"})
            own = await ask(url, agent.next_run(spec_for(agent, access=Access.OPEN), GATEWAY_TOKEN))
            # An older Innkeeper left every OpenClaw so, and this one asks it as if it went by the user.
            left = await ask(url, agent.next_run(spec_for(agent), GATEWAY_TOKEN))
            used = await chat(agent, url)
    assert said(answer) == said(used) == "Hello there."
    assert refused.status_code == 401
    assert own.json()["ok"]
    assert left.json()["ok"]


@pytest.mark.openclaw
@pytest.mark.timeout(400)
async def test_openclaw_chats_and_keeps_what_its_user_and_it_write(
    docker: aiodocker.Docker, place: Place, tmp_path: Path
) -> None:
    agent, provider = OpenClaw(), FakeProvider()
    config = tmp_path / ".openclaw" / "openclaw.json"
    config.parent.mkdir()
    config.write_text('{"gateway": {"auth": {"mode": "none"}}, "agents": {"defaults": {"timeoutSeconds": 77}}}')
    async with serving(provider, place.gateway) as broker:
        write(agent, tmp_path, broker_url=broker, place=place)
        async with running(docker, agent, "innkeeper/openclaw:2026.9.6", tmp_path, place) as url:
            answer = await chat(agent, url)
            nobody = await chat(agent, url, headers={"X-Forwarded-User": ""})
            trapped = await chat(agent, url, headers={"X-Forwarded-For": "127.0.0.1"})
            forged = await forged_by_a_neighbour(docker, place, url)
            await it_goes_to_sleep_and_on(agent, url)
            await its_missed_runs_are_made_up_for(agent, url, provider)
    assert said(answer) == "Hello there."
    assert nobody.status_code == 401, "the token alone is no way in"
    assert forged in ("401", "403"), forged
    assert trapped.status_code == 403  # why the edge must stand in for loopback clients
    assert provider.asked[0].headers["authorization"] == f"Bearer {BROKER_TOKEN}"
    assert provider.asked[0].body["model"] == "demo"

    after = config.read_bytes()
    assert json.loads(after)["agents"]["defaults"]["timeoutSeconds"] == 77
    write(agent, tmp_path, broker_url=broker, place=place)
    assert config.read_bytes() == after
    assert not list(config.parent.glob("*.broken-*"))
