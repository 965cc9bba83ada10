"""The tables, the same on SQLite and PostgreSQL; the migrations' sum equals them, which a test proves.

Moments are ISO texts in UTC of one width, so that they sort and compare as texts on both.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from innkeeper.store.columns import COUNT, EXACT
from innkeeper.store.columns import metadata as metadata
from innkeeper.store.unit_tables import backup_states as backup_states
from innkeeper.store.unit_tables import drills as drills
from innkeeper.store.unit_tables import erasure_receipts as erasure_receipts
from innkeeper.store.unit_tables import packs as packs
from innkeeper.store.unit_tables import snapshots as snapshots
from innkeeper.store.unit_tables import work_leases as work_leases

tenants = Table(
    "tenants",
    metadata,
    Column("name", EXACT, primary_key=True),
    Column("id", EXACT, nullable=False, unique=True),
    Column("slot", Integer, nullable=False, unique=True),
    Column("created_at", EXACT, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("remade_at", Integer, nullable=False, server_default="1"),
    Column("wanted", EXACT, nullable=False),
    Column("rung", EXACT, nullable=False),
    Column("purge", Boolean, nullable=False),
    Column("token_epoch", Integer, nullable=False),
    Column("last_activity", EXACT),
    Column("spec", Text, nullable=False),
    Column("seen", Text, nullable=False),
    Column("past", Text),  # what was measured; null: nothing yet
    Column("closed", EXACT),
    Column("fenced", Boolean, nullable=False, server_default=false()),
    Column("born_as", EXACT),
    Column("state", EXACT, nullable=False, index=True),  # seen.state, to be counted
    Column("lease_holder", EXACT),
    Column("lease_token", EXACT),
    Column("lease_until", Double),  # seconds since 1970 by the database's clock
)


def _of_tenant() -> Column[str]:
    return Column("tenant", EXACT, ForeignKey("tenants.name", ondelete="CASCADE"), nullable=False, index=True)


hostnames = Table(
    "hostnames",
    metadata,
    Column("hostname", EXACT, primary_key=True),
    _of_tenant(),
)

keys = Table(
    "tenant_keys",
    metadata,
    Column("id", EXACT, primary_key=True),
    _of_tenant(),
    Column("tenant_id", EXACT, nullable=False),
    Column("name", Text, nullable=False),
    Column("hint", EXACT, nullable=False),
    Column("digest", EXACT, nullable=False),
    Column("created_at", EXACT, nullable=False),
    Column("expires_at", EXACT),
)

users = Table(
    "users",
    metadata,
    Column("id", EXACT, primary_key=True),
    Column("mail", EXACT, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", EXACT),
    Column("password", Text),  # Argon2id, as a PHC string
    Column("issuer", EXACT),
    Column("subject", EXACT),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", EXACT, nullable=False),
    UniqueConstraint("issuer", "subject"),
)


def _of_user(**options: Any) -> Column[str]:
    return Column("user", EXACT, ForeignKey("users.id", ondelete="CASCADE"), **options)


members = Table(
    "members",
    metadata,
    _of_user(primary_key=True),
    Column("tenant", EXACT, ForeignKey("tenants.name", ondelete="CASCADE"), primary_key=True, index=True),
    Column("tenant_id", EXACT, nullable=False),
    Column("role", EXACT, nullable=False),
    Column("created_at", EXACT, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", EXACT, primary_key=True),
    Column("name", Text, nullable=False),
    _of_user(index=True),  # null: a service's own
    Column("role", EXACT),
    Column("tenant", EXACT, ForeignKey("tenants.name", ondelete="CASCADE"), index=True),
    Column("tenant_role", EXACT),
    Column("scopes", EXACT, nullable=False),
    Column("hint", EXACT, nullable=False),
    Column("digest", EXACT, nullable=False, unique=True),
    Column("created_by", EXACT, nullable=False),
    Column("created_at", EXACT, nullable=False),
    Column("expires_at", EXACT),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", EXACT, primary_key=True),
    _of_user(nullable=False, index=True),
    Column("digest", EXACT, nullable=False, unique=True),
    Column("method", EXACT, nullable=False),
    Column("address", EXACT),
    Column("browser", Text, nullable=False),
    Column("created_at", EXACT, nullable=False),
    Column("expires_at", EXACT, nullable=False, index=True),
)

tickets = Table(
    "tickets",
    metadata,
    Column("digest", EXACT, primary_key=True),
    Column("session", EXACT, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("tenant_id", EXACT, nullable=False),
    Column("host", EXACT, nullable=False),
    Column("path", Text, nullable=False),
    Column("binding", EXACT, nullable=False),
    Column("expires_at", EXACT, nullable=False),
)

integrations = Table(
    "integrations",
    metadata,
    Column("tenant", EXACT, ForeignKey("tenants.name", ondelete="CASCADE"), primary_key=True),
    Column("integration", EXACT, primary_key=True),
    Column("id", EXACT, nullable=False, unique=True),
    Column("tenant_id", EXACT, nullable=False),
    Column("standing", EXACT, nullable=False),
    Column("connected_by", EXACT, nullable=False),
    Column("connected_as", Text, nullable=False),
    Column("connected_at", EXACT, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("expires_at", EXACT),
    Column("refreshed_at", EXACT),
    Column("generation", Integer, nullable=False),
    Column("claim", EXACT),
    Column("claim_until", EXACT),
    Column("failures", Integer, nullable=False),
    Column("retry_at", EXACT),
    Column("error", Text),
)

integration_states = Table(
    "integration_states",
    metadata,
    Column("digest", EXACT, primary_key=True),
    _of_tenant(),
    Column("tenant_id", EXACT, nullable=False),
    Column("integration", EXACT, nullable=False),
    Column("session", EXACT, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("verifier", LargeBinary, nullable=False),  # sealed
    Column("expires_at", EXACT, nullable=False, index=True),
)

operations = Table(
    "operations",
    metadata,
    Column("id", EXACT, primary_key=True),
    Column("kind", EXACT, nullable=False),
    Column("tenant", EXACT, nullable=False),
    Column("tenant_id", EXACT, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("created_at", EXACT, nullable=False),
    Column("updated_at", EXACT, nullable=False),
    Column("deadline", EXACT, nullable=False),
    Column("status", EXACT, nullable=False, index=True),
    Column("progress", Text, nullable=False),
    Column("error", Text),
    Column("detail", Text),  # of works; null: nothing
    Index("ix_operations_tenant", "tenant", "id"),
)

# A receipt hangs on its tenant through its operation, which outlives the tenant: no foreign key can say that.
receipts = Table(
    "receipts",
    metadata,
    Column("actor", EXACT, primary_key=True),
    Column("key", EXACT, primary_key=True),
    Column("fingerprint", EXACT, nullable=False),
    Column("operation_id", EXACT, nullable=False, index=True),
    Column("created_at", EXACT, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("agent", EXACT, primary_key=True),
    Column("version", EXACT, primary_key=True),
    Column("image", EXACT, nullable=False),
    Column("source", EXACT, nullable=False),
    Column("size_mb", Integer, nullable=False),
    Column("created_at", EXACT, nullable=False),
)

messages = Table(
    "messages",
    metadata,
    Column("number", COUNT, primary_key=True, autoincrement=True),
    Column("id", EXACT, nullable=False, unique=True),
    Column("tenant", EXACT, ForeignKey("tenants.name", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", EXACT, nullable=False),
    Column("path", EXACT, nullable=False),
    Column("port", Integer),
    Column("sender_id", Text),
    Column("fingerprint", EXACT),
    Column("size", Integer, nullable=False),
    Column("received_at", EXACT, nullable=False),
    Column("next_attempt_at", EXACT, nullable=False),
    Column("state", EXACT, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("attempt", EXACT),
    Column("attempt_at", EXACT),
    Column("ended_at", EXACT),
    Column("last_error", Text),
    Column("sealed", LargeBinary),  # the payload, encrypted; null once it is delivered
    UniqueConstraint("tenant_id", "path", "fingerprint"),
    Index("ix_messages_tenant", "tenant", "number"),
    Index("ix_messages_state", "state", "tenant", "path", "number"),
    sqlite_autoincrement=True,  # a number is never given twice, whatever is dropped
)

secrets = Table(
    "secrets",
    metadata,
    Column("owner", EXACT, primary_key=True),
    Column("name", EXACT, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("tenant", EXACT, ForeignKey("tenants.name", ondelete="CASCADE"), index=True),  # null: the platform's own
    Column("created_at", EXACT, nullable=False),
    Column("created_by", EXACT, nullable=False),
    Column("expires_at", EXACT),
    Column("sealed", LargeBinary, nullable=False),
)

asked_names = Table(
    "asked_names",
    metadata,
    Column("tenant", EXACT, ForeignKey("tenants.name", ondelete="CASCADE"), primary_key=True),
    Column("name", EXACT, primary_key=True),
    Column("first_seen", EXACT, nullable=False),
    Column("last_seen", EXACT, nullable=False),
    Column("asked", COUNT, nullable=False),
    Column("refused", COUNT, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", EXACT, nullable=False),
    Column("actor", EXACT, nullable=False),
    Column("kind", EXACT, nullable=False, server_default="system"),
    Column("action", EXACT, nullable=False),
    Column("tenant", EXACT),
    Column("tenant_id", EXACT, index=True),
    Column("detail", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("address", EXACT),
    Column("request", EXACT),
    Column("link", EXACT),  # ties the row to the one before it; null: from before there was a chain
    Index("ix_audit_tenant", "tenant", "number"),
)

audit_ends = Table(
    "audit_ends",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("began", Integer, nullable=False),
    Column("cut", Integer, nullable=False),
    Column("cut_link", EXACT, nullable=False),
    Column("last", Integer, nullable=False),
    Column("last_link", EXACT, nullable=False),
    Column("seal", EXACT, nullable=False),
)

# No foreign key: what was used is still to be billed when its tenant is gone. A purge drops it.
usage = Table(
    "usage",
    metadata,
    Column("tenant_id", EXACT, primary_key=True),
    Column("day", EXACT, primary_key=True),
    Column("provider", EXACT, primary_key=True),
    Column("model", EXACT, primary_key=True),
    Column("tenant", EXACT, nullable=False),
    *(
        Column(name, COUNT, nullable=False)
        for name in ("calls", "unmeasured", "unpriced", "input", "output", "cache_read", "cache_write", "micro_usd")
    ),
    Index("ix_usage_day", "day", "tenant", "tenant_id"),
)
