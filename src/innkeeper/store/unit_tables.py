"""The tables of what becomes of tenants' folders: works, packs, snapshots, drills, erasures."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, Table, Text

from innkeeper.store.columns import COUNT, EXACT, metadata

# By name, not by tenant: a work may be to bring a tenant into being.
work_leases = Table(
    "work_leases",
    metadata,
    Column("tenant", EXACT, primary_key=True),
    Column("holder", EXACT, nullable=False),
    Column("token", EXACT, nullable=False),
    Column("until", Double, nullable=False),  # seconds since 1970 by the database's clock
)

packs = Table(
    "packs",
    metadata,
    Column("name", EXACT, primary_key=True),
    Column("version", EXACT, primary_key=True),
    Column("title", Text, nullable=False),
    Column("digest", EXACT, nullable=False),
    Column("files", Integer, nullable=False),
    Column("size", COUNT, nullable=False),
    Column("added_at", EXACT, nullable=False),
    Column("added_by", EXACT, nullable=False),
)

drills = Table(
    "drills",
    metadata,
    Column("id", EXACT, primary_key=True),
    Column("tenant", EXACT, ForeignKey("tenants.name", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", EXACT, nullable=False),
    Column("snapshot", EXACT, nullable=False),
    Column("target", EXACT, nullable=False),
    Column("taken_at", EXACT, nullable=False),
    Column("began_at", EXACT, nullable=False),
    Column("ended_at", EXACT, nullable=False),
    Column("outcome", EXACT, nullable=False),
    Column("release", Text),
    Column("failed_at", Text),
    Column("code", EXACT),
    Column("says", Text),
    Column("sessions", Integer),
    Column("steps", Text, nullable=False),
    Index("ix_drills_tenant", "tenant", "id"),
)

# No foreign keys: snapshots outlive their tenants. A purge drops them.
snapshots = Table(
    "snapshots",
    metadata,
    Column("id", EXACT, primary_key=True),
    Column("owner", EXACT, nullable=False),
    Column("tenant", EXACT, nullable=False),
    Column("taken_at", EXACT, nullable=False),
    Column("origin", EXACT, nullable=False),
    Column("operation", EXACT),
    Column("agent", EXACT, nullable=False),
    Column("release", EXACT, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("mark", EXACT),
    Column("files", Integer, nullable=False),
    Column("bytes", COUNT, nullable=False),
    Column("bytes_added", COUNT, nullable=False),
    Column("consented", Boolean),
    Column("frozen_ms", Integer, nullable=False),
    Column("copies", Text, nullable=False),
    Column("confirmed_at", EXACT, nullable=False),
    Column("databases", Integer, nullable=False),
    Column("verified_at", EXACT),
    Column("proven_at", EXACT),
    Column("damaged", Text),
    Column("kept_for", EXACT),
    Column("damage", Text, nullable=False, server_default="{}"),
    Column("broken", Text, nullable=False, server_default="{}"),
    Index("ix_snapshots_owner", "owner", "taken_at"),
    Index("ix_snapshots_tenant", "tenant", "taken_at"),
)

backup_states = Table(
    "backup_states",
    metadata,
    Column("owner", EXACT, primary_key=True),
    Column("tenant", EXACT, nullable=False),
    Column("good", Text, nullable=False),
    Column("tried_at", EXACT),
    Column("failures", Integer, nullable=False),
    Column("error", Text),
    Column("alerted_at", EXACT),
    Column("live", EXACT),
    Column("shares", Integer, nullable=False),
    Column("pruned_at", EXACT),
    Column("mended", Text, nullable=False, server_default="{}"),
)

# What was erased of whom. No foreign key: it is what is left of a tenant.
erasure_receipts = Table(
    "erasure_receipts",
    metadata,
    Column("id", EXACT, primary_key=True),
    Column("tenant", EXACT, nullable=False),
    Column("tenant_id", EXACT, nullable=False, unique=True),
    Column("began_at", EXACT, nullable=False),
    Column("journal", Text, nullable=False),  # what each step has found and done
    Column("issued_at", EXACT),  # null: it is under way
    Column("signed", Text),
    Column("supplements", Text, nullable=False),
    Column("pending", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("try_at", EXACT, index=True),  # null: nothing is pending
)
