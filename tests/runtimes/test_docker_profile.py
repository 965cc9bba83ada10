"""The hardening profile: as asked for, and as the Engine really applies it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.instance import Place
from innkeeper.core.ports import Blueprint
from innkeeper.core.tenant import Limits
from innkeeper.runtimes.docker_profile import container_config
from tests.support.docker_bench import docker_bench

BLUEPRINT = Blueprint(
    tenant="alice",
    tenant_id="t-1",
    revision=3,
    slot=0,
    agent="openclaw",
    release="2026.9.6",
    image="sha256:abc",
    limits=Limits(memory_mb=2048, cpus=1.5, pids=512),
    persistence="/srv/alice",
)


def config_of(blueprint: Blueprint) -> dict[str, Any]:
    place = Place(network="inn-net-0", address="10.64.0.16", gateway="10.64.0.1")
    return container_config(
        blueprint, place, namespace="inn", pool="10.64.0.0/16", dns=("10.0.0.53",), host_has_ipv6=True
    )


@pytest.mark.parametrize(
    "limits",
    [
        Limits(memory_mb=0, cpus=1),
        Limits(memory_mb=-1, cpus=1),
        Limits(memory_mb=512, cpus=0),
        Limits(memory_mb=512, cpus=-2),
        Limits(memory_mb=512, cpus=float("nan")),
        Limits(memory_mb=512, cpus=1, pids=0),
    ],
)
def test_no_limit_that_would_mean_unlimited_gets_through(limits: Limits) -> None:
    with pytest.raises(RuntimeFault):
        config_of(replace(BLUEPRINT, limits=limits))


def test_what_is_reserved_is_asked_for_and_nothing_else_is() -> None:
    reserved = replace(BLUEPRINT.limits, memory_reserve_mb=32, cpus_reserve=0.05)
    host = config_of(replace(BLUEPRINT, limits=reserved))["HostConfig"]
    assert (host["MemoryReservation"], host["CpuShares"]) == (32 << 20, 51)
    assert not {"MemoryReservation", "CpuShares"} & config_of(BLUEPRINT)["HostConfig"].keys()


def test_a_command_is_the_whole_program_whatever_entrypoint_the_image_has() -> None:
    config = config_of(replace(BLUEPRINT, command=("serve", "--port", "80")))
    assert (config["Entrypoint"], config["Cmd"]) == (["serve"], ["--port", "80"])
    assert "Cmd" not in config_of(BLUEPRINT)


def test_environment_and_resolvers() -> None:
    config = config_of(replace(BLUEPRINT, env={"A": "1=2"}))
    assert config["Env"] == ["A=1=2"]
    assert config["HostConfig"]["Dns"] == ["10.0.0.53"]


def test_a_kernel_without_ipv6_is_not_asked_to_switch_it_off() -> None:
    place = Place(network="n", address="10.64.0.16", gateway="10.64.0.1")
    config = container_config(BLUEPRINT, place, namespace="inn", pool="p", dns=(), host_has_ipv6=False)
    assert config["HostConfig"]["Sysctls"] == {}


@pytest.mark.docker
async def test_the_engine_applies_all_of_it() -> None:
    async with docker_bench() as bench:
        runtime = bench.runtime
        blueprint = bench.blueprint(
            slot=7, tenant_id="t-9", revision=4, agent="openclaw", release="2026.9.6", env={"COLOUR": "blue"}
        )
        instance = await runtime.create(blueprint)
        await runtime.start(instance)
        shown = await bench.inspect("alice")
        host, config = shown["HostConfig"], shown["Config"]

        assert config["Image"] == bench.image
        assert config["Image"].startswith("sha256:")
        assert (config["User"], config["Hostname"], config["Tty"]) == ("1000:1000", "alice", False)
        assert config["Healthcheck"] == {"Test": ["NONE"]}
        assert config["Labels"] == {
            "innkeeper.namespace": bench.namespace,
            "innkeeper.tenant": "alice",
            "innkeeper.tenant-id": "t-9",
            "innkeeper.agent": "openclaw",
            "innkeeper.release": "2026.9.6",
            "innkeeper.revision": "4",
            "innkeeper.slot": "7",
            "innkeeper.pool": config["Labels"]["innkeeper.pool"],
        }
        assert host["ReadonlyRootfs"] is True
        assert host["Privileged"] is False
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert (host["IpcMode"], host["PidMode"], host["UTSMode"]) == ("private", "", "")
        assert host["Init"] is True
        assert (host["Memory"], host["MemorySwap"]) == (64 * 1024 * 1024, -1)
        assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 64)
        assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
        assert host["Tmpfs"] == {"/tmp": "rw,nosuid,nodev,size=256m,mode=1777"}
        assert not host["Binds"]
        assert [(mount["Source"], mount["Destination"], mount["Propagation"]) for mount in shown["Mounts"]] == [
            (blueprint.persistence, "/data", "rprivate")
        ]
        assert not host["PortBindings"]
        assert host["PublishAllPorts"] is False
        assert not any(shown["NetworkSettings"]["Ports"].values())
        place = await runtime.place(7)
        network = shown["NetworkSettings"]["Networks"]
        assert list(network) == [place.network]
        assert network[place.network]["IPAddress"] == place.address
        assert network[place.network]["GlobalIPv6Address"] == ""


INSIDE = """
id -u
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/1/status | tr -d '\\t '
cat /proc/sys/net/ipv6/conf/all/disable_ipv6
touch /x 2>/dev/null && echo root is writable
touch /tmp/x /data/x && echo tmp and data are writable
hostname
"""


@pytest.mark.docker
async def test_seen_from_inside_it_is_as_tight() -> None:
    async with docker_bench() as bench:
        instance = await bench.runtime.create(bench.blueprint())
        await bench.runtime.start(instance)
        ended = await bench.runtime.run(instance, ["sh", "-c", INSIDE], timeout_s=10)
        assert ended.output.decode().split("\n")[:-1] == [
            "1000",
            "CapEff:0000000000000000",
            "CapBnd:0000000000000000",
            "NoNewPrivs:1",
            "Seccomp:2",
            "1",
            "tmp and data are writable",
            "alice",
        ]


@pytest.mark.docker
async def test_memory_over_the_limit_ends_the_process_and_says_so() -> None:
    async with docker_bench() as bench:
        hog = ("dd", "if=/dev/zero", "of=/dev/null", "bs=256M")
        instance = await bench.runtime.create(bench.blueprint(command=hog))
        await bench.without_swap("alice")
        events = bench.runtime.events()
        await anext(events)
        await bench.runtime.start(instance)
        told = []
        async for event in events:
            told.append(event.action)
            if told.count("start") == 2:
                break
        restarted = await bench.runtime.get("alice")
        assert (restarted.exit_code, restarted.out_of_memory) == (137, True)
