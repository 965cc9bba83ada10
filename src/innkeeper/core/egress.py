"""Which names an agent may reach, and which it has asked for: pure rules, and what people want to know of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from innkeeper.core.errors import Kind, Problem
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import EgressMode, Uses

NAMES_KEPT = 1000
"""So many names of a tenant are kept; whoever asks for more than an agent ever needs pushes out its own oldest."""


class EgressNotEnforceable(Problem):
    """This installation can't close a tenant's way out."""

    code = "egress_not_enforceable"
    kind = Kind.CONFLICT
    default_hint = "Use the Docker runtime, or leave `uses.egress.mode` at `off`."


@dataclass(frozen=True, kw_only=True)
class AskedName:
    """A name that a tenant has asked for."""

    name: str
    first_seen: datetime
    last_seen: datetime
    asked: int = 0
    """How often, refusals among them."""
    refused: int = 0


def allows(names: Iterable[str], asked: str) -> bool:
    """Whether a list lets the name pass: `example.com` itself alone, `*.example.com` all that lies below it.

    A name with anything escaped in it never passes: its dots need not be boundaries.
    """
    if "\\" in asked:
        return False
    return any(asked.endswith(name[1:]) if name.startswith("*.") else asked == name for name in names)


def on_list(tenant: Tenant, name: str) -> bool:
    """Whether the tenant's list is in force, and lets the name pass."""
    egress = tenant.spec.uses.egress
    return egress.mode is EgressMode.ENFORCE and allows(egress.names, name)


def may_reach(tenant: Tenant, asked: str) -> bool:
    """Whether this tenant may reach the name (lower case, no final dot)."""
    return tenant.spec.uses.egress.mode is not EgressMode.ENFORCE or on_list(tenant, asked)


def joined(before: AskedName | None, more: AskedName) -> AskedName:
    """Both together."""
    if before is None:
        return more
    return replace(
        more,
        first_seen=min(before.first_seen, more.first_seen),
        last_seen=max(before.last_seen, more.last_seen),
        asked=before.asked + more.asked,
        refused=before.refused + more.refused,
    )


def newest(asked: Iterable[AskedName], keep: int) -> list[AskedName]:
    """Those that were asked for last, so many at most."""
    return sorted(asked, key=lambda each: (each.last_seen, each.name), reverse=True)[:keep]


def check_enforceable(uses: Uses, cannot: str | None) -> None:
    """Raise EgressNotEnforceable where a list is to be in force that nothing would keep."""
    if cannot is not None and uses.egress.mode is EgressMode.ENFORCE:
        raise EgressNotEnforceable(f"Egress can't be enforced here: {cannot}.", field="uses.egress.mode")
