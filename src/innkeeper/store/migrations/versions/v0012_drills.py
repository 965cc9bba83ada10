"""Drills: the snapshots that were brought up to prove them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Nothing is proven yet. They go with their tenant."""
    op.create_table(
        "drills",
        sa.Column("id", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("snapshot", EXACT, nullable=False),
        sa.Column("target", EXACT, nullable=False),
        sa.Column("taken_at", EXACT, nullable=False),
        sa.Column("began_at", EXACT, nullable=False),
        sa.Column("ended_at", EXACT, nullable=False),
        sa.Column("outcome", EXACT, nullable=False),
        sa.Column("release", sa.Text()),
        sa.Column("failed_at", sa.Text()),
        sa.Column("code", EXACT),
        sa.Column("says", sa.Text()),
        sa.Column("sessions", sa.Integer()),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drills"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_drills_tenant", ondelete="CASCADE"),
    )
    op.create_index("ix_drills_tenant", "drills", ["tenant", "id"])
