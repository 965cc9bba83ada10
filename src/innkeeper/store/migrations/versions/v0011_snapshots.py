"""Snapshots of tenants and of the database, and how their owners' backups stand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Nothing was backed up yet."""
    op.create_table(
        "snapshots",
        sa.Column("id", EXACT, nullable=False),
        sa.Column("owner", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("taken_at", EXACT, nullable=False),
        sa.Column("origin", EXACT, nullable=False),
        sa.Column("operation", EXACT),
        sa.Column("agent", EXACT, nullable=False),
        sa.Column("release", EXACT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("mark", EXACT),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", COUNT, nullable=False),
        sa.Column("bytes_added", COUNT, nullable=False),
        sa.Column("consented", sa.Boolean()),
        sa.Column("frozen_ms", sa.Integer(), nullable=False),
        sa.Column("copies", sa.Text(), nullable=False),
        sa.Column("confirmed_at", EXACT, nullable=False),
        sa.Column("databases", sa.Integer(), nullable=False),
        sa.Column("verified_at", EXACT),
        sa.Column("proven_at", EXACT),
        sa.Column("damaged", sa.Text()),
        sa.Column("kept_for", EXACT),
        sa.PrimaryKeyConstraint("id", name="pk_snapshots"),
    )
    op.create_index("ix_snapshots_owner", "snapshots", ["owner", "taken_at"])
    op.create_index("ix_snapshots_tenant", "snapshots", ["tenant", "taken_at"])
    op.create_table(
        "backup_states",
        sa.Column("owner", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("good", sa.Text(), nullable=False),
        sa.Column("tried_at", EXACT),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("alerted_at", EXACT),
        sa.Column("live", EXACT),
        sa.Column("shares", sa.Integer(), nullable=False),
        sa.Column("pruned_at", EXACT),
        sa.PrimaryKeyConstraint("owner", name="pk_backup_states"),
    )
