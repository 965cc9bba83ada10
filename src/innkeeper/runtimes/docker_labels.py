"""The labels by which containers and networks are known to be ours."""

from __future__ import annotations

from collections.abc import Mapping

NAMESPACE = "innkeeper.namespace"
TENANT = "innkeeper.tenant"
TENANT_ID = "innkeeper.tenant-id"
AGENT = "innkeeper.agent"
RELEASE = "innkeeper.release"
REVISION = "innkeeper.revision"
SLOT = "innkeeper.slot"
POOL = "innkeeper.pool"
"""On containers too: a pool outlives networks that somebody pruned by hand."""
NETWORK = "innkeeper.network"
"""A network's number."""
DRILLS = "innkeeper.drills"
"""The namespace of a drill's container and network, which don't have NAMESPACE: they are no tenant's."""
DRILL = "innkeeper.drill"


def ours(namespace: str) -> dict[str, list[str]]:
    """The filter that finds what belongs to a namespace."""
    return {"label": [f"{NAMESPACE}={namespace}"]}


def number(labels: Mapping[str, str], label: str) -> int:
    """A label's number; 0 where somebody meddled with it."""
    text = labels.get(label, "")
    return int(text) if text.isdecimal() else 0
