"""No secret leaks: one of each kind is planted, all that can succeed and fail is done, and every place is searched."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiodocker
import httpx2
import jwt
import pytest
from sqlalchemy import MetaData, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from tests.e2e.canaries import AUDIENCE, FAULTS, ISSUER, as_the_message_says, console, crasher, others
from tests.e2e.canary_kinds import KINDS, Planted
from tests.e2e.canary_uses import (
    OtherSide,
    changed_secrets,
    connect,
    misplaced,
    new_keys,
    refused_secrets,
    uses_fail,
    uses_succeed,
    what_is_used,
)
from tests.e2e.conftest import have_image
from tests.store.databases import postgres_url
from tests.support.echo_agent import PORT, echo_spec
from tests.support.fake_provider import FakeProvider, answers
from tests.support.installation import Installation, installed
from tests.support.leaks import everywhere, leaks, open_homes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

CHAT = {"messages": [{"role": "user", "content": "hello there"}]}
MAIL = "ann@example.com"
SEARCHED = {"file:serve.log", "file:run/caddy.log", "file:run/Caddyfile", "caddy:config",
            "api:/metrics", "sse:/v1/events"}  # fmt: skip
"""Some of the places, lest a search of nothing finds nothing."""


async def test_no_secret_is_anywhere_but_at_home(docker: aiodocker.Docker) -> None:
    await lives_through_it_all(docker, "sqlite")


async def lives_through_it_all(docker: aiodocker.Docker, driver: str) -> None:
    """An installation whose state is in such a database; test_canary_postgres.py has it in the other kind."""
    planted = Planted()
    async with AsyncExitStack() as stack:
        provider, side, settings = await stack.enter_async_context(others(planted))
        settings |= await stack.enter_async_context(store(driver, planted))
        inn = await stack.enter_async_context(installed(**settings))
        await have_image(inn, "nanobot")
        async with listening(inn, planted):
            await tenants_and_people(inn, planted, side)
            await changed_secrets(inn, docker, planted)
            await what_succeeds(inn, docker, planted)
            names = await names_of(inn)
            await nothing_found(inn, docker, planted, names, "after what succeeds")

            await what_fails(inn, docker, planted, provider)
            await bad_input(inn, planted)
            await nothing_found(inn, docker, planted, names, "after what fails")

        inn.kill()
        await inn.start()
        async with listening(inn, planted):
            await what_succeeds(inn, docker, planted)
            await nothing_found(inn, docker, planted, names, "after a crash")
            async with inn.api() as api:
                left = await api.delete("/v1/tenants/a/integrations/good")
            planted.keep("api:disconnect", left.text)
            assert left.json()["revoked"] is True
            for tenant in ("a", "crasher", "sleeper"):
                await inn.delete(tenant)
            await nothing_found(inn, docker, planted, {**names, "name": []}, "after their end")
        await inn.stop()
        check(planted, {"file:serve.log": inn.log().encode()}, "at the end")
        for said in ("a log line with", "couldn't be written", "a warning of", "an error over"):
            assert said in inn.log(), "the saboteur wasn't there"


async def nothing_found(
    inn: Installation, docker: aiodocker.Docker, planted: Planted, names: Mapping[str, Sequence[str]], when: str
) -> None:
    """Search everything that there is now, and all that was said until now."""
    places = {**await everywhere(inn, docker, names), **await rows(inn)}
    unsearched = SEARCHED - {*places, *planted.said}
    assert not unsearched, f"{unsearched} weren't searched {when}"
    assert any(place.startswith("environ:control-plane") for place in places)
    assert any(place.startswith("environ:caddy") for place in places)
    check(planted, places, when)
    assert open_homes(KINDS, inn.data) == [], when


def check(planted: Planted, places: Mapping[str, bytes], when: str) -> None:
    kinds = [kind for kind in KINDS if kind.name not in planted.absent]
    missing = {kind.name for kind in kinds} ^ set(planted.secrets)
    assert not missing, f"kinds without a secret, or the other way round: {missing}"
    found = leaks(kinds, planted.secrets, {**places, **planted.said})
    assert not found, f"{when}:\n" + "\n".join(found)


@asynccontextmanager
async def listening(inn: Installation, planted: Planted) -> AsyncIterator[None]:
    """Keep every event of the whole house meanwhile."""
    heard = asyncio.Event()

    async def listen() -> None:
        async with inn.api() as api, api.stream("GET", "/v1/events", timeout=None) as stream:
            async for line in stream.aiter_lines():
                planted.keep("sse:/v1/events", line)
                heard.set()

    task = asyncio.create_task(listen())
    async with asyncio.timeout(30):
        await heard.wait()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def store(driver: str, planted: Planted) -> AsyncIterator[dict[str, str]]:
    """The settings of a database; PostgreSQL's has a password in its URL."""
    if driver == "sqlite":
        planted.absent.add("database password")
        yield {}
        return
    async with postgres_url() as url:
        if make_url(url).password is not None:
            pytest.skip("the server's own password isn't ours to plant")
        with_password = make_url(url).set(password=planted.new("database password"))
        yield {"INNKEEPER_DATABASE_URL": with_password.render_as_string(hide_password=False)}


async def rows(inn: Installation) -> dict[str, bytes]:
    """Everything that is in PostgreSQL, where that is the database."""
    url = inn.env.get("INNKEEPER_DATABASE_URL")
    if url is None:
        return {}
    engine, there = create_async_engine(url), MetaData()
    async with engine.connect() as connection:
        await connection.run_sync(there.reflect)
        found = {name: (await connection.execute(table.select())).all() for name, table in there.tables.items()}
    await engine.dispose()
    assert found
    return {f"rows:{name}": b"\n".join(_bytes(cell) for row in each for cell in row) for name, each in found.items()}


def _bytes(cell: object) -> bytes:
    return bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode()


# --- what is done -----------------------------------------------------------------------------------------------------


async def tenants_and_people(inn: Installation, planted: Planted, side: OtherSide) -> None:
    planted.secrets["admin token"] = inn.admin_token
    planted.secrets["master key"] = json.loads((inn.data / "keyring").read_text())["keys"][0]["key"]
    await inn.create("a", agent="nanobot", env={"SOME_SETTING": planted.new("tenant's env")})
    await what_is_used(inn, planted, side)
    nanobot = inn.data / "tenants/a/persistence/.nanobot"
    planted.secrets["gateway token"] = json.loads((nanobot / "config.json").read_text())["api"]["apiKey"]
    words = (nanobot / "model.env").read_text().replace('"', " ").replace("}", " ").replace("-ik_", " ik_").split()
    planted.secrets["broker token"] = next(word for word in words if word.startswith("ik_b_"))
    planted.secrets["tenant key"] = await inn.key("a")

    await inn.create("sleeper", **echo_spec(), inbox=[{"path": "/hooks"}])
    async with inn.api() as api:
        slept = await api.post("/v1/tenants/sleeper/sleep", params={"wait": 60}, json={"tier": "stop"})
        assert slept.json()["status"] == "done", slept.text
        password = planted.new("user's password")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(password)
            file.flush()
            made = await inn.cli("user", "create", MAIL, "--password-file", file.name)
        planted.keep("cli:user create", made.stdout + made.stderr)
        assert made.returncode == 0, made.stderr
        assert (await api.put(f"/v1/tenants/a/members/{MAIL}", json={"role": "owner"})).status_code == 200
        body = {"name": "canary", "role": "operator"}
        planted.secrets["API token"] = (await api.post("/v1/tokens", json=body)).json()["token"]
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "outsider", "exp": int(time.time()) + 3600}
    planted.secrets["outside JWT"] = jwt.encode(claims, planted.secrets["JWT secret"], "HS256")
    async with console(inn) as browser:
        answer = await browser.post("/sign-in", data={"mail": MAIL, "password": password})
        assert answer.status_code in (200, 303), answer.text
        planted.secrets["session cookie"] = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
        planted.keep("echo:sign-in", answer.text)
        browser.headers["Cookie"] = cookie(planted)
        await connect(inn, planted, browser)
    for kind in ("inbox body", "inbox header", "inbox query"):
        planted.new(kind)
    planted.new("said by an agent")
    await new_keys(inn, planted)
    with tempfile.TemporaryDirectory() as folder:
        await refused_secrets(inn, planted, Path(folder))


async def what_succeeds(inn: Installation, docker: aiodocker.Docker, planted: Planted) -> None:
    """Every credential is used as it should be."""
    await uses_succeed(inn, docker, planted)
    for body in (CHAT, {**CHAT, "stream": True}):
        async with inn.edge("a", planted.secrets["tenant key"]) as edge:
            answer = await edge.post("/v1/chat/completions", json=body)
        assert (answer.status_code, "there" in answer.text) == (200, True), answer.text
        planted.keep("agent:chat", answer.content)
    for arguments in (("tenant", "chat", "a", "hello"), ("tenant", "logs", "a"), ("tenant", "show", "a"), ("doctor",),
                      ("audit", "list"), ("audit", "verify"), ("status",), ("backup", "create", "a", "--wait"),
                      ("backup", "list", "a")):  # fmt: skip
        done = await inn.cli(*arguments)
        planted.keep(f"cli:{' '.join(arguments)}", done.stdout + done.stderr)
    for kind in ("API token", "outside JWT"):
        async with httpx2.AsyncClient(base_url=inn.api_url, headers=bearer(planted, kind)) as api:
            answer = await api.get("/v1/me")
        assert answer.status_code == 200, answer.text
        planted.keep("api:/v1/me", answer.text)
    async with console(inn) as browser:
        answer = await browser.get("/v1/me", headers={"Cookie": cookie(planted)})
        assert answer.status_code == 200, answer.text
        planted.keep("api:/v1/me", answer.text)
    async with inn.edge("sleeper") as edge:
        said = {"X-Said": planted.secrets["inbox header"]}
        query = {"token": planted.secrets["inbox query"]}
        answer = await edge.post("/hooks", params=query, headers=said, content=planted.secrets["inbox body"])
        assert answer.status_code == 200, answer.text


async def what_fails(inn: Installation, docker: aiodocker.Docker, planted: Planted, provider: FakeProvider) -> None:
    """Everything that we depend on fails, and quotes what it got."""
    key = planted.secrets["tenant key"]
    provider.script = as_the_message_says
    async with inn.edge("a", key) as edge:  # all at once: the agent tries each again for a while
        asked = []
        for fault, stream in itertools.product(FAULTS, (False, True)):
            message = {"role": "user", "content": fault.__name__}
            body = {"messages": [message], "stream": stream, "session_id": f"{fault.__name__} {stream}"}
            asked.append(edge.post("/v1/chat/completions", json=body))
        for answer in await asyncio.gather(*asked):
            planted.keep("agent:chat", answer.content)
    provider.script = answers
    await uses_fail(inn, docker, planted)

    await dies_while_it_answers(inn, docker, planted)
    async with console(inn) as browser:  # an identity provider that refuses us
        away = await browser.get("/sign-in/provider")
        state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
        pending = {"Cookie": away.headers["set-cookie"].partition(";")[0]}
        back = await browser.get("/sign-in/callback", params={"code": "some-code", "state": state}, headers=pending)
        assert back.status_code >= 400
        planted.keep("page:callback", back.text)

    sayings = [f"it is {planted.secrets[kind]}!" for kind in ("provider key", "admin token", "broker token")]
    body = crasher(*sayings, f"password={planted.secrets['said by an agent']}")
    async with inn.api() as api:
        made = await api.post("/v1/tenants", params={"wait": 120}, json={"name": "crasher", **body})
        assert made.json()["status"] == "failed", made.text
        planted.keep("api:create", made.text)
        assert "Its last lines" in (await inn.show("crasher"))["error"]
        nothing = {"image": "innkeeper-test/nothing:1", "port": PORT, "command": ["true"]}
        made = await api.post(
            "/v1/tenants", params={"wait": 60}, json={"name": "missing", "agent": "custom", "custom": nothing}
        )
        assert made.json()["code"] == "image_missing", made.text
        planted.keep("api:create", made.text)


async def dies_while_it_answers(inn: Installation, docker: aiodocker.Docker, planted: Planted) -> None:
    """A tenant, in the middle of a request that is full of secrets: that is when Caddy has something to say."""
    key = await inn.key("sleeper")  # the first request wakes it, and it refuses what waits in its inbox
    query, headers = {"token": planted.secrets["tenant key"]}, {"X-Said": planted.secrets["inbox header"]}
    edge = inn.edge("sleeper", key)
    with suppress(httpx2.HTTPError):
        async with edge, edge.stream("GET", "/events", params=query, headers=headers) as answer:
            assert answer.status_code == 200
            async for _ in answer.aiter_bytes():
                for each in await inn.containers(docker):
                    if each["Config"]["Labels"]["innkeeper.tenant"] == "sleeper" and each["State"]["Running"]:
                        await docker.containers.container(each["Id"]).kill()
    assert "aborting with incomplete response" in inn.edge_log(), inn.edge_log()


async def bad_input(inn: Installation, planted: Planted) -> None:
    """Secrets where nobody expects them; those that the platform can't know may be told to their sender alone."""
    for kind, secret in planted.secrets.items():
        place = f"echo:bad input with the {kind}"
        async with inn.api() as api:
            attempts = (
                api.get("/v1/nothing", params={"token": secret}),
                api.get("/v1/tenants", params={"limit": secret, "api_key": secret}),
                api.post("/v1/nothing", json={"password": secret}),
                api.post("/v1/tenants", json={"name": secret, "agent": "nanobot"}),
                api.post("/v1/tenants", json={"name": "x", "agent": "nanobot", "env": {"A": [secret]}}),
                api.post("/v1/tenants", content=b'{"name": "' + secret.encode()),
                api.post("/v1/tenants", json={"name": "x", "agent": "custom", "custom": {"command": secret}}),
                api.get("/v1/me", headers={"X-Api-Key": secret, "Cookie": f"a={secret}"}),
                api.get("/v1/me", headers=[("Authorization", f"Bearer {secret}"), ("Authorization", secret)]),
                api.put("/v1/tenants/a/members/nobody", json={"role": "owner", "token": secret}),
                *misplaced(api, secret),
            )
            for answer in await asyncio.gather(*attempts):
                assert answer.status_code < 500, answer.text
                planted.keep(place, answer.text)
        async with inn.edge("a", secret[:-1]) as edge:
            answer = await edge.get("/", params={"key": secret}, headers={"Cookie": f"session={secret}"})
            planted.keep(place, answer.text)
        async with console(inn) as browser:
            answer = await browser.post("/sign-in", data={"mail": MAIL, "password": f"{secret}-not"})
            planted.keep(place, answer.text)
    for arguments in (("tenant", "show", "nobody", "--json"), ("tenant", "create", "x", "--agent", "none")):
        done = await inn.cli(*arguments)
        planted.keep(f"cli:{arguments[1]}", done.stdout + done.stderr)


def cookie(planted: Planted) -> str:
    return f"__Host-innkeeper-console={planted.secrets['session cookie']}"


def bearer(planted: Planted, kind: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {planted.secrets[kind]}"}


async def names_of(inn: Installation) -> Mapping[str, Sequence[str]]:
    """What fills in the API's paths."""
    async with inn.api() as api:
        operations = (await api.get("/v1/operations")).json()["items"]
        snapshots = (await api.get("/v1/tenants/a/backups")).json()["items"]
    assert snapshots
    return {
        "name": ["a", "sleeper"],
        "who": [MAIL],
        "operation_id": [each["id"] for each in operations[:3]],
        "snapshot_id": [snapshots[0]["id"]],
        "receipt_id": [],
    }
