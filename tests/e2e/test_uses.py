"""What an agent may use, on the whole path: with a key that it never has, from its own address, within its budget."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiodocker
import pytest

from tests.e2e.conftest import have_image
from tests.support.fake_provider import FakeProvider, fake_provider
from tests.support.installation import Installation, installed
from tests.support.searching import places_of

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

KEY = "sk-the-real-one-0123456789abcdef"


@pytest.fixture
async def provider() -> AsyncIterator[tuple[FakeProvider, str]]:
    """A provider, and where it is."""
    async with fake_provider() as served:
        yield served


@pytest.fixture
async def inn(provider: tuple[FakeProvider, str]) -> AsyncIterator[Installation]:
    """An Innkeeper whose tenants may reach the provider, and that has no key of its own."""
    private = json.dumps([urlsplit(provider[1]).netloc])
    async with installed(INNKEEPER_PRIVATE_HOSTS=private, INNKEEPER_BROKER_PROVIDER="demo") as installation:
        yield installation


async def chat(inn: Installation, key: str) -> tuple[int, str]:
    async with inn.edge("a", key) as edge:
        answer = await edge.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hello"}]})
    return answer.status_code, answer.text


async def change(inn: Installation, **uses: object) -> None:
    async with inn.api() as api:
        answer = await api.patch("/v1/tenants/a", params={"wait": 120}, json={"uses": uses})
    assert answer.json().get("status") == "done", answer.text


async def test_a_tenant_chats_with_a_key_that_it_never_has_until_its_budget_is_spent(
    inn: Installation, provider: tuple[FakeProvider, str], docker: aiodocker.Docker
) -> None:
    fake, url = provider
    await have_image(inn, "nanobot")
    await inn.create("a", agent="nanobot")
    await inn.create("b", agent="nanobot")
    set_it = await inn.cli("secret", "set", "a", "OPENAI", stdin=KEY)
    assert set_it.returncode == 0, set_it.stderr
    own = {"kind": "openai", "base_url": f"{url}/v1", "keys": ["${secret:OPENAI}"], "models": ["fake-1"]}
    await change(inn, providers={"own": own}, models=["fake-1"])
    key = await inn.key("a")

    status, answer = await chat(inn, key)
    assert status == 200, answer
    assert "Hello there." in answer
    assert {asked.headers["authorization"] for asked in fake.asked} == {f"Bearer {KEY}"}

    shown = {found["Config"]["Labels"]["innkeeper.tenant"]: found for found in await inn.containers(docker)}
    folder = inn.data / "tenants/a"
    assert places_of(KEY, shown["a"], folder) == []
    token = token_of(inn)
    assert any("memory" in place for place in places_of(token, shown["a"], folder)), "the search finds what is there"

    network = next(iter(shown["a"]["NetworkSettings"]["Networks"].values()))
    models = f"http://{network['Gateway']}:{inn.broker_port}/v1/models"
    assert [await asked_from(docker, shown[name], models, token) for name in ("a", "b")] == ["200", "401"]

    async with inn.api() as api:
        used = (await api.get("/v1/tenants/a/usage")).json()
    assert "fake-1" in json.dumps(used)
    await change(inn, budget={"day_tokens": 1})
    asked = len(fake.asked)
    status, answer = await chat(inn, key)
    assert len(fake.asked) == asked, "nothing more goes out"
    assert "Hello there." not in answer
    spent = await asked_from(docker, shown["a"], models.replace("models", "chat/completions"), token, post=True)
    assert json.loads(spent)["error"]["type"] == "insufficient_quota"
    stops: list[dict[str, str]] = []
    async with inn.api() as api, asyncio.timeout(30):
        while not stops:  # it is written down a moment after the refusal
            trail = (await api.get("/v1/audit", params={"limit": 500})).json()["items"]
            stops = [line for line in trail if line["action"] == "budget.stop"]
    assert [(line["tenant"], line["kind"]) for line in stops] == [("a", "system")]
    assert KEY not in json.dumps(trail)
    assert KEY not in inn.log()


def token_of(inn: Installation) -> str:
    """The broker's token of tenant a, as its agent has it."""
    environment = (inn.data / "tenants/a/persistence/.nanobot/model.env").read_text()
    token = environment[environment.index("ik_b_") :]
    return token[: token.index("}")]


async def asked_from(
    docker: aiodocker.Docker, shown: dict[str, object], url: str, token: str, *, post: bool = False
) -> str:
    """The status that somebody in the container gets, or with `post` the body of the refusal."""
    body = b'{"model": "fake-1", "messages": []}' if post else None
    program = (
        "import urllib.error, urllib.request\n"
        f"ask = urllib.request.Request({url!r}, {body!r}, {{'Authorization': 'Bearer {token}'}})\n"
        "try: print(urllib.request.urlopen(ask, timeout=10).status)\n"
        f"except urllib.error.HTTPError as error: print(error.read().decode() if {post} else error.code)\n"
    )
    container = docker.containers.container(str(shown["Id"]))
    execution = await container.exec(["/opt/agent/bin/python", "-c", program])
    async with execution.start() as stream:
        message = await stream.read_out()
    assert message is not None
    return message.data.decode().strip()
