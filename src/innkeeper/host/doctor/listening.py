"""Listening: nothing of a tenant's is reachable but through the edge."""

from __future__ import annotations

from typing import Any

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

OURS = '/containers/json?all=true&filters={"label":["innkeeper.tenant"]}'


async def check(host: Host) -> Finding:
    """No tenant's container publishes a port or shares the host's network."""
    containers = await host.engine(OURS) or []
    exposed = [words for container in containers if (words := _exposure(container))]
    if exposed:
        return Finding(
            name="listening",
            status=Status.FAIL,
            says="; ".join(exposed),
            fix="Innkeeper never does this. Remove the container: it is made anew, closed. Find out who opened it.",
        )
    return Finding(
        name="listening", status=Status.OK, says=f"{len(containers)} tenants' containers, none publishes a port"
    )


def _exposure(container: dict[str, Any]) -> str:
    name = str(container["Names"][0]).lstrip("/")
    if container.get("HostConfig", {}).get("NetworkMode") == "host":
        return f"{name} shares the host's network"
    ports = {f"{port.get('IP', '')}:{port['PublicPort']}" for port in container["Ports"] if "PublicPort" in port}
    return f"{name} is published at {', '.join(sorted(ports))}" if ports else ""
