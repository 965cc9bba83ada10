"""The audit trail: who did what, written in the same transaction as the change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from innkeeper.core.access import Actor, ActorKind
from innkeeper.core.redaction import redacted
from innkeeper.core.references import paths
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import Uses


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the trail; it outlives the tenant that it speaks of."""

    at: datetime
    actor: str
    """Whose credential it was: an id, `admin` or `system`."""
    kind: ActorKind = ActorKind.SYSTEM
    action: str
    tenant: str | None
    tenant_id: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)
    """What was asked for, without values that could be secret."""
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    """What changed, likewise without such values; null where nothing that is kept did."""
    address: str | None = None
    """Where the request came from."""
    request: str | None = None
    """Its id, which stands in the answer and in the log."""


def entry(
    actor: Actor,
    action: str,
    *,
    at: datetime,
    of: Tenant | None = None,
    tenant: str | None = None,
    tenant_id: str | None = None,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    detail: Mapping[str, object] | None = None,
) -> Entry:
    """The line that says what `actor` did, to the tenant `of` or to one of that name and id; redacted, for it stays."""
    return Entry(
        at=at,
        actor=actor.id,
        kind=actor.kind,
        action=action,
        tenant=of.name if of else tenant,
        tenant_id=of.id if of else tenant_id,
        detail=redacted(detail or {}),
        before=redacted(before),
        after=redacted(after),
        address=actor.address,
        request=actor.request,
    )


def told(tenant: Tenant) -> Mapping[str, object]:
    """How a tenant should be, for the trail: of environment and command, which may hold secrets, no values."""
    spec = tenant.spec
    return {
        "agent": spec.agent,
        "release": spec.release,
        "mode": spec.mode,
        "limits": asdict(spec.limits),
        "sleep": asdict(spec.sleep),
        "env": sorted(spec.env),
        "hostnames": list(spec.hostnames),
        "access": spec.access,
        "custom": spec.custom and {**asdict(spec.custom), "command": len(spec.custom.command)},
        "public_paths": list(spec.public_paths),
        "inbox": [asdict(each) for each in spec.inbox],
        "config": paths(spec.config),
        "uses": told_uses(spec.uses),
        "packs": list(spec.packs),
        "wanted": tenant.wanted,
        "rung": tenant.rung,
        "purge": tenant.purge,
        "revision": tenant.revision,
    }


def told_uses(uses: Uses) -> Mapping[str, object]:
    """The same of what it may use; of headers, which may hold secrets, the names."""
    servers = {
        name: each if isinstance(each, str) else {**asdict(each), "headers": sorted(each.headers)}
        for name, each in uses.mcp.items()
    }
    return {**asdict(uses), "mcp": servers}


def difference(
    before: Mapping[str, object], after: Mapping[str, object]
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """What of the two isn't the same."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}
