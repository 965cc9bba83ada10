"""One compose file of the fleet: what it says, that composes take it, and that it runs what it describes."""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiodocker
import httpx2
import pytest
import yaml

from innkeeper.agents import AGENTS
from innkeeper.core.fleet import DataIn, Member
from innkeeper.core.ports import Blueprint
from innkeeper.core.tenant import CustomAgent
from innkeeper.units.compose import as_env_file
from innkeeper.units.fleet_compose import HEALTH, render_fleet
from tests.agents.seats import GATEWAY_TOKEN, spec_for
from tests.e2e.conftest import have_image
from tests.support.installation import installed
from tests.support.zeptoclaw_stand_in import zeptoclaw_image
from tests.units.test_compose import compose_command, run_compose


def member(agent_name: str = "zeptoclaw", tenant: str = "shop-ahmad", slot: int = 3) -> Member:
    agent = AGENTS[agent_name]
    custom = CustomAgent(image="x", port=80) if agent_name == "custom" else None
    spec = spec_for(agent, custom=custom)
    blueprint = Blueprint(
        tenant=tenant,
        tenant_id="tn_1",
        revision=4,
        slot=slot,
        agent=agent_name,
        release="0.9.2",
        image="sha256:" + "ab" * 32,
        limits=agent.limits,
        persistence=f"/srv/inn keeper/tenants/{tenant}/persistence",
        mount=agent.mount(spec),
        command=agent.command(spec),
        env=agent.env(spec),
    )
    return Member(
        blueprint=blueprint,
        port=agent.entrance(spec, GATEWAY_TOKEN).port,
        health=agent.health_command(spec),
        configs=agent.config_paths()[:1],
    )


def document(*members: Member, environment: str = "staging", data: DataIn = DataIn.UNIT) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render_fleet(members, environment=environment, data=data))
    return found


def test_a_zeptoclaw_has_what_its_own_script_gives_it() -> None:
    fleet = document(member())
    service = fleet["services"]["tenant-shop-ahmad"]
    assert (service["mem_limit"], service["cpus"]) == ("128m", 0.25)
    assert (service["mem_reservation"], service["cpu_shares"]) == ("32m", 51)
    assert {"RUST_LOG_FORMAT=json", "ZEPTOCLAW_HEALTH_PORT=9090"} <= set(service["environment"])
    labels = {name: text for name, text in service["labels"].items() if name.startswith("com.zeptoclaw.")}
    assert labels == {
        "com.zeptoclaw.tenant": "shop-ahmad",
        "com.zeptoclaw.version": "0.9.2",
        "com.zeptoclaw.env": "staging",
    }
    assert "innkeeper.namespace" not in service["labels"], "by that Innkeeper knows its own"
    assert service["healthcheck"]["test"][-1] == "http://127.0.0.1:9090/healthz"
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    volume, config = service["volumes"]
    assert volume == {"type": "volume", "source": "shop-ahmad-data", "target": "/data"}
    assert (config["target"], config["read_only"]) == ("/data/.zeptoclaw/config.json", True)
    assert service["ports"] == ["127.0.0.1:19103:8765"]
    assert fleet["volumes"]["shop-ahmad-data"]["driver_opts"]["device"].endswith("/tenants/shop-ahmad/persistence")
    assert fleet["networks"]["default"]["driver_opts"] == {"com.docker.network.bridge.enable_icc": "false"}


def test_volumes_may_be_dockers_own_and_how_they_are_filled_is_told() -> None:
    assert document(member(), data=DataIn.VOLUME)["volumes"] == {"shop-ahmad-data": {}}
    text = render_fleet([member()], environment="x", data=DataIn.VOLUME)
    assert "tar -C '/srv/inn keeper/tenants/NAME/persistence'" in text


def test_an_unknown_program_has_no_check_of_ours() -> None:
    assert "healthcheck" not in document(member("custom", "carol"))["services"]["tenant-carol"]


def test_no_tenant_is_a_file_all_the_same() -> None:
    assert document()["services"] == {}


@pytest.mark.skipif(not Path("/usr/bin/docker-compose").exists(), reason="it takes docker-compose")
@pytest.mark.parametrize("data", list(DataIn))
def test_compose_takes_it(tmp_path: Path, data: DataIn) -> None:
    fleet = [member(), member("nanobot", "b", 1), member("openclaw", "c", 2), member("custom", "d", 4)]
    values = {"PRICE": "5$HOME", "QUOTED": '#it\'s "so"', "EMPTY": "", "SPACED": " a b "}
    blueprint = replace(
        fleet[3].blueprint, env={**values, "OURS": "1"}, persistence=str(tmp_path / "d" / "persistence")
    )
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "agent.env").write_text(as_env_file(values))
    odd = replace(fleet[3], blueprint=blueprint, variables=frozenset(values))
    text = render_fleet([*fleet[:3], odd], environment="production", data=data)
    assert "5$" not in text, "an operator's own environment is quoted nowhere"
    (tmp_path / "fleet.yml").write_text(text)
    done = subprocess.run(
        [*compose_command(), "-f", "fleet.yml", "config"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "warning" in line.lower()]
    read = yaml.safe_load(done.stdout)
    assert len(read["services"]) == 4
    environment = read["services"]["tenant-d"]["environment"]
    got = {name: text.replace("$$", "$") for name, text in environment.items() if name in values}
    assert got == values
    assert environment["OURS"] == "1"


# --- the real thing ---------------------------------------------------------------------------------------------------


@pytest.mark.docker
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "agent",
    ["nanobot", "zeptoclaw", pytest.param("openclaw", marks=[pytest.mark.openclaw, pytest.mark.soak])],
)
async def test_it_runs_what_it_describes(tmp_path: Path, agent: str) -> None:
    async with aiodocker.Docker() as docker, installed() as inn:
        await have_image(inn, "nanobot" if agent == "zeptoclaw" else agent)
        image = ("--image", await zeptoclaw_image(docker)) if agent == "zeptoclaw" else ()
        name = f"fleet{agent[:2]}"
        await inn.cli_json("tenant", "create", name, "--agent", agent, *image, "--wait")
        await inn.cli_json("tenant", "update", name, "--wanted", "asleep", "--wait")
        told = await inn.cli_json(
            "compose", "generate", name, "--environment", "staging", "-o", str(tmp_path / "f.yml")
        )
        config = inn.data / "tenants" / name / "persistence" / AGENTS[agent].config_paths()[0]
        secrets = [text for text in strings(json.loads(config.read_text())) if len(text) >= 20 and " " not in text]
        assert secrets
        assert not [text for text in secrets if text in told["compose"] and "/" not in text and "INNKEEPER" not in text]
        port = yaml.safe_load(told["compose"])["services"][f"tenant-{name}"]["ports"][0].split(":")[1]
        flags = ("-p", f"ik-{agent}", "-f", "f.yml")
        sooner(tmp_path / "f.yml")
        try:
            await run_compose(tmp_path, *flags, "up", "-d")
            async with asyncio.timeout(180):
                while (state := await health(docker, f"unit_{name}")) != "healthy":
                    assert state in ("starting", "unhealthy"), state
                    await asyncio.sleep(0.5)
            async with httpx2.AsyncClient(trust_env=False) as client:
                answer = await client.get(f"http://127.0.0.1:{port}/health")
            assert answer.status_code < 502
            assert (await inn.show(name))["state"] == "stopped", "Innkeeper leaves it alone"
        finally:
            await run_compose(tmp_path, *flags, "down", "--timeout", "5", "-v")
        assert config.exists(), "the volume was its folder"


def sooner(fleet: Path) -> None:
    """Have Docker ask for the first time after seconds: how often it asks is all that this changes."""
    text, rare = fleet.read_text(), f"interval: {HEALTH['interval']}\n"
    assert rare in text
    fleet.write_text(text.replace(rare, "interval: 3s\n"))


async def health(docker: aiodocker.Docker, container: str) -> str:
    """What Docker's own check says of it."""
    shown = await docker.containers.container(container).show()
    return str(shown["State"]["Health"]["Status"] if shown["State"]["Running"] else shown["State"])


def strings(tree: Any) -> list[str]:
    """Every text in a config."""
    if isinstance(tree, dict):
        return [text for value in tree.values() for text in strings(value)]
    return (
        [text for each in tree for text in strings(each)] if isinstance(tree, list) else [tree] * isinstance(tree, str)
    )
