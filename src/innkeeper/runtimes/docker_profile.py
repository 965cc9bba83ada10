"""The hardening profile: what a tenant's container may be made of, as one pure function.

A floor, not a default to relax: nothing in a blueprint can loosen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from innkeeper.core.errors import RuntimeFault
from innkeeper.core.instance import Place
from innkeeper.core.ports import Blueprint
from innkeeper.core.tenant import Limits
from innkeeper.runtimes import docker_labels as labels

USER = "1000:1000"
SMALLEST_MEMORY_MB = 6
"""The Engine takes no less; and 0 would mean: no limit."""
SMALLEST_CPUS = 0.01
_MB = 1024 * 1024


def container_config(
    blueprint: Blueprint, place: Place, *, namespace: str, pool: str, dns: Sequence[str], host_has_ipv6: bool
) -> dict[str, Any]:
    """What the Engine is asked to create for a tenant."""
    _check(blueprint.limits)
    config: dict[str, Any] = {
        "Image": blueprint.image,
        "Hostname": blueprint.hostname,
        "User": USER,
        "Env": [f"{name}={value}" for name, value in blueprint.env.items()],
        "Labels": _labels(blueprint, namespace, pool),
        # An exec every few seconds costs more than the agent itself: it is probed from outside.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(blueprint, place, dns, host_has_ipv6),
        "NetworkingConfig": {
            "EndpointsConfig": {place.network: {"IPAMConfig": {"IPv4Address": place.address}}},
        },
    }
    if blueprint.command:
        config["Entrypoint"], config["Cmd"] = [blueprint.command[0]], list(blueprint.command[1:])
    return config


def _labels(blueprint: Blueprint, namespace: str, pool: str) -> dict[str, str]:
    return {
        labels.NAMESPACE: namespace,
        labels.TENANT: blueprint.tenant,
        labels.TENANT_ID: blueprint.tenant_id,
        labels.AGENT: blueprint.agent,
        labels.RELEASE: blueprint.release,
        labels.REVISION: str(blueprint.revision),
        labels.SLOT: str(blueprint.slot),
        labels.POOL: pool,
    }


def _host_config(blueprint: Blueprint, place: Place, dns: Sequence[str], host_has_ipv6: bool) -> dict[str, Any]:
    limits = blueprint.limits
    return {
        "NetworkMode": place.network,
        "Dns": list(dns),
        "Privileged": False,
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "IpcMode": "private",
        "Init": True,
        "PidsLimit": limits.pids,
        "Memory": limits.memory_mb * _MB,
        # Without a limit of its own, swap lets a sleeper be paged out, on cgroup v1 and v2 alike.
        "MemorySwap": -1,
        "NanoCpus": nano_cpus(limits.cpus),
        **({"MemoryReservation": limits.memory_reserve_mb * _MB} if limits.memory_reserve_mb else {}),
        **({"CpuShares": cpu_shares(limits.cpus_reserve)} if limits.cpus_reserve else {}),
        "PublishAllPorts": False,
        "RestartPolicy": {"Name": "unless-stopped"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "Tmpfs": {"/tmp": "rw,nosuid,nodev,size=256m,mode=1777"},  # noqa: S108 - a mount inside the container
        "Mounts": [
            {
                "Type": "bind",
                "Source": blueprint.persistence,
                "Target": blueprint.mount,
                # The Engine knows no nosuid or nodev for binds; no-new-privileges and the device cgroup see to both.
                "BindOptions": {"Propagation": "rprivate"},
            }
        ],
        "Sysctls": {"net.ipv6.conf.all.disable_ipv6": "1"} if host_has_ipv6 else {},
    }


def nano_cpus(cpus: float) -> int:
    """As the Engine counts them."""
    return round(cpus * 1_000_000_000)


def cpu_shares(cpus: float) -> int:
    """A reservation as a weight: the Engine knows no other outside of a swarm. Who reserves nothing has 1024."""
    return max(2, round(cpus * 1024))


def _check(limits: Limits) -> None:
    """To the Engine, 0 means "no limit" everywhere: refuse it here, whoever let it through."""
    if not (limits.memory_mb >= SMALLEST_MEMORY_MB and limits.cpus >= SMALLEST_CPUS and limits.pids >= 1):
        raise RuntimeFault(
            f"An instance can't be limited to {limits.memory_mb} MB, {limits.cpus} CPUs and {limits.pids} processes."
        )
