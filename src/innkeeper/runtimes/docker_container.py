"""Reading what the Engine says of a container, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from innkeeper.core.instance import Instance, State
from innkeeper.runtimes import docker_labels as labels

_STATES = {"running": State.RUNNING, "restarting": State.RUNNING, "paused": State.PAUSED}
"""All others, `created exited dead removing`, have no process: stopped."""


def container_name(namespace: str, tenant: str) -> str:
    """The name of a tenant's container."""
    return f"{namespace}-{tenant}"


def labels_of(shown: Mapping[str, Any]) -> Mapping[str, str]:
    """An inspected container's labels."""
    return shown["Config"].get("Labels") or {}


def is_ours(shown: Mapping[str, Any], namespace: str, tenant: str) -> bool:
    """Whether the labels say that we made it, for this tenant."""
    found = labels_of(shown)
    return found.get(labels.NAMESPACE) == namespace and found.get(labels.TENANT) == tenant


def is_leaving(shown: Mapping[str, Any]) -> bool:
    """Whether the Engine is removing it just now."""
    return bool(shown["State"]["Status"] == "removing")


def network_of(shown: Mapping[str, Any], name: str) -> str:
    """The id of the network of that name that it was last attached to; empty before its first start."""
    endpoint = shown["NetworkSettings"]["Networks"].get(name) or {}
    return str(endpoint.get("NetworkID") or "")


def instance_of(shown: Mapping[str, Any]) -> Instance:
    """The instance that an inspected container is."""
    status, found = shown["State"], labels_of(shown)
    state = _STATES.get(status["Status"], State.STOPPED)
    stuck = status["Status"] == "restarting"
    started_at = started(status.get("StartedAt", ""))
    ended = started_at is not None and (stuck or state is State.STOPPED)
    return Instance(
        tenant=found.get(labels.TENANT, ""),
        state=state,
        id=shown["Id"],
        tenant_id=found.get(labels.TENANT_ID),
        revision=labels.number(found, labels.REVISION),
        restarts=shown.get("RestartCount", 0),
        exit_code=status["ExitCode"] if ended else None,
        out_of_memory=bool(status.get("OOMKilled")),
        started_at=started_at,
        stuck=stuck,
        cpus=shown["HostConfig"].get("NanoCpus", 0) / 1_000_000_000 or None,
    )


def started(text: str) -> datetime | None:
    """The Engine's time of a start; its year 1 means: never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text)
