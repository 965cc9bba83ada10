"""The whole path on one machine: create, reach by name, talk, remove without a trace."""

from __future__ import annotations

import asyncio
import json
import subprocess

import aiodocker
import pytest

from tests.e2e.conftest import have_image
from tests.support.chromium import chromium, there_is_chromium
from tests.support.control_ui import says_hello
from tests.support.installation import Installation

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

CHAT = {"messages": [{"role": "user", "content": "hello there"}]}


async def chat(inn: Installation, tenant: str, key: str | None, **body: object) -> tuple[int, str]:
    async with inn.edge(tenant, key) as edge:
        answer = await edge.post("/v1/chat/completions", json=CHAT | body)
    return answer.status_code, answer.text


async def has_what_its_spec_says(inn: Installation, docker: aiodocker.Docker, *, cpus: int) -> None:
    """It had more for its start, until its first answer was out."""
    async with asyncio.timeout(30):
        while (await inn.containers(docker))[0]["HostConfig"]["NanoCpus"] != cpus * 10**9:
            await asyncio.sleep(0.5)


async def test_nanobot_from_create_to_purge(inn: Installation, docker: aiodocker.Docker) -> None:
    await have_image(inn, "nanobot")
    made = await inn.cli_json("tenant", "create", "a", "--agent", "nanobot", "--wait")
    assert (made["name"], made["state"], made["ready"]) == ("a", "running", True)
    key = await inn.key("a")

    status, answer = await chat(inn, "a", key)
    assert status == 200, answer
    assert "demo model" in json.loads(answer)["choices"][0]["message"]["content"]
    for wrong in (None, key[:-1], key.upper(), "ik_k_nonsense"):
        assert (await chat(inn, "a", wrong))[0] == 401
    assert (await chat(inn, "nobody", key))[0] == 404

    (shown,) = await inn.containers(docker)
    host = shown["HostConfig"]
    assert shown["Config"]["User"] == "1000:1000"
    assert shown["Config"]["Hostname"] == "a"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["PidsLimit"] == 512
    assert host["Memory"] == 512 << 20
    await has_what_its_spec_says(inn, docker, cpus=1)
    assert host["Init"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert not host["PortBindings"]
    assert "/tmp" in host["Tmpfs"]
    assert shown["Config"]["Image"].startswith("sha256:")
    assert not any("docker.sock" in mount["Source"] for mount in shown["Mounts"])

    findings = {f["name"]: f for f in (await inn.cli_json("doctor"))["findings"]}
    assert findings["isolation"]["status"] == "ok", findings["isolation"]

    done = await inn.cli("tenant", "delete", "a", "--purge", "--yes")
    assert done.returncode == 0, done.stderr
    assert (await chat(inn, "a", key))[0] == 404
    assert await inn.containers(docker) == []
    assert inn.folders() == []
    async with inn.api() as api:
        assert (await api.get("/v1/tenants")).json()["items"] == []
        assert (await api.get("/v1/tenants/a/keys")).status_code == 404
        actions = [entry["action"] for entry in (await api.get("/v1/audit")).json()["items"]]
    assert actions[-1] == "tenant.erased"
    database = (inn.data / "innkeeper.db").read_bytes() + (inn.data / "innkeeper.db-wal").read_bytes()
    assert key.encode() not in database


@pytest.mark.openclaw
@pytest.mark.timeout(400)
async def test_openclaw_answers_through_the_edge_and_its_page_opens_signed_in(
    inn: Installation, docker: aiodocker.Docker
) -> None:
    await have_image(inn, "openclaw")
    await inn.create("oc", agent="openclaw", public_paths=["/v1/models"])
    key = await inn.key("oc")
    status, answer = await chat(inn, "oc", key, model="openclaw")
    assert status == 200, answer
    assert "demo model" in json.loads(answer)["choices"][0]["message"]["content"]
    told = await inn.cli("tenant", "chat", "oc", "and how are you?")
    assert told.returncode == 0, told.stderr
    assert "demo model" in told.stdout
    stats = await inn.cli_json("tenant", "stats", "oc")
    assert stats

    # What could be read about the container holds no credential: they are in its config file.
    (shown,) = await inn.containers(docker)
    assert "ik_" not in json.dumps(shown)
    config = (inn.data / "tenants/oc/persistence/.openclaw/openclaw.json").stat()
    assert (config.st_mode & 0o777, config.st_uid) == (0o600, 1000)

    await a_stranger_on_a_public_path_is_not_signed_in(inn, key)
    if there_is_chromium():
        await who_passes_the_gate_is_signed_in(inn, key)


async def who_passes_the_gate_is_signed_in(inn: Installation, key: str) -> None:
    """OpenClaw's own page asks for nothing any more."""
    async with chromium() as browser:
        context = await browser.new_context(extra_http_headers={"Authorization": f"Bearer {key}"})
        page = await context.new_page()
        await page.goto(f"http://oc.localhost:{inn.edge_port}/")
        await says_hello(page, answer="demo model")


async def a_stranger_on_a_public_path_is_not_signed_in(inn: Installation, key: str) -> None:
    """The gate lets everybody through there, and tells OpenClaw of those whom it knows."""
    async with inn.edge("oc", key) as edge:
        assert (await edge.get("/v1/models")).status_code == 200
        foreign = await edge.get("/v1/models", headers={"Origin": f"http://another.localhost:{inn.edge_port}"})
        assert foreign.status_code == 401, "another tenant's page makes a member's browser ask"
    forged = {"X-Forwarded-User": "innkeeper", "X-Forwarded-Proto": "http", "X-OpenClaw-Scopes": "operator.admin"}
    async with inn.edge("oc") as edge:
        for headers in ({}, forged, {"Authorization": "Bearer of-their-own"}):
            assert (await edge.get("/v1/models", headers=headers)).status_code == 401


async def test_credentials_stay_where_they_belong(inn: Installation) -> None:
    await have_image(inn, "nanobot")
    await inn.create("a", agent="nanobot")
    key = await inn.key("a")
    await chat(inn, "a", key)
    processes = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
    for secret in (key, inn.admin_token):
        assert secret not in processes
        assert secret not in inn.log()
        assert secret not in (inn.data / "run/caddy.log").read_text()
        assert secret not in (inn.data / "tenants/a/compose.yaml").read_text()


async def test_a_token_of_the_broker_is_of_no_use_elsewhere(inn: Installation, docker: aiodocker.Docker) -> None:
    """Tenant a's token works from a's own address, not from b's, nor from the host."""
    await have_image(inn, "nanobot")
    await inn.create("a", agent="nanobot")
    await inn.create("b", agent="nanobot")
    environment = (inn.data / "tenants/a/persistence/.nanobot/model.env").read_text()
    token = next(word for word in environment.replace('"', " ").replace("-ik_", " ik_").split() if "ik_b_" in word)
    token = token[token.index("ik_b_") :].rstrip("}")
    shown = {found["Config"]["Labels"]["innkeeper.tenant"]: found for found in await inn.containers(docker)}
    network = next(iter(shown["a"]["NetworkSettings"]["Networks"].values()))
    url = f"http://{network['Gateway']}:{inn.broker_port}/v1/models"
    program = (
        "import urllib.request, urllib.error\n"
        f"ask = urllib.request.Request({url!r}, headers={{'Authorization': 'Bearer {token}'}})\n"
        "try: print(urllib.request.urlopen(ask, timeout=5).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
    )
    for tenant, expected in (("a", "200"), ("b", "401")):
        container = docker.containers.container(shown[tenant]["Id"])
        execution = await container.exec(["/opt/agent/bin/python", "-c", program])
        async with execution.start() as stream:
            message = await stream.read_out()
        assert message is not None
        assert message.data.decode().strip() == expected, tenant
