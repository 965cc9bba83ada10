"""All that the store in memory holds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from innkeeper.core.access import TenantKey
from innkeeper.core.drill import Drill
from innkeeper.core.egress import AskedName
from innkeeper.core.integration import Begun, Connection
from innkeeper.core.messages import Message
from innkeeper.core.operations import Operation
from innkeeper.core.packs import PackRelease
from innkeeper.core.people import ApiToken, Member, Session, Ticket, User
from innkeeper.core.ports import Lease, Receipt
from innkeeper.core.receipts import ErasureReceipt
from innkeeper.core.release import Release
from innkeeper.core.secrets import SecretVersion
from innkeeper.core.snapshots import BackupState, Snapshot
from innkeeper.core.tenant import Tenant
from innkeeper.core.trail import Ends, Line
from innkeeper.core.usage import UsageKey, UsageRow


@dataclass(kw_only=True)
class Tables:
    """Everything there is. Its values never change, so that a copy of the mappings is a copy of all."""

    tenants: dict[str, Tenant] = field(default_factory=dict)
    slots: dict[int, str] = field(default_factory=dict)
    hostnames: dict[str, str] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    work_leases: dict[str, Lease] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    keys: dict[str, TenantKey] = field(default_factory=dict)
    receipts: dict[tuple[str, str], Receipt] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    members: dict[tuple[str, str], Member] = field(default_factory=dict)
    """By tenant and user."""
    tokens: dict[str, ApiToken] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    tickets: dict[str, Ticket] = field(default_factory=dict)
    secrets: dict[tuple[str, str, int], tuple[SecretVersion, bytes]] = field(default_factory=dict)
    """By owner, name and version, with their ciphertexts."""
    connections: dict[tuple[str, str], Connection] = field(default_factory=dict)
    """By tenant and integration."""
    begun: dict[str, Begun] = field(default_factory=dict)
    releases: dict[tuple[str, str], Release] = field(default_factory=dict)
    packs: dict[tuple[str, str], PackRelease] = field(default_factory=dict)
    """By name and version."""
    trail: dict[int, Line] = field(default_factory=dict)
    ends: list[Ends] = field(default_factory=list)
    """One, or none before the first line."""
    messages: dict[int, tuple[Message, bytes | None]] = field(default_factory=dict)
    """By number, in their order, with their payloads."""
    asked_names: dict[str, dict[str, AskedName]] = field(default_factory=dict)
    """By tenant and name; the inner ones are never changed, but replaced."""
    drills: dict[str, Drill] = field(default_factory=dict)
    last_number: list[int] = field(default_factory=lambda: [0])
    """A message's number is never given twice."""

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    backup_states: dict[str, BackupState] = field(default_factory=dict)
    usage: dict[UsageKey, UsageRow] = field(default_factory=dict)
    erasures: dict[str, ErasureReceipt] = field(default_factory=dict)

    def copy(self) -> Tables:
        """The same, to be changed apart."""
        return Tables(**{table.name: getattr(self, table.name).copy() for table in fields(self)})
