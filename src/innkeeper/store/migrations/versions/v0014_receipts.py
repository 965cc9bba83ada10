"""Receipts of erasures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """None was issued yet: what was purged before has its line in the trail."""
    op.create_table(
        "erasure_receipts",
        sa.Column("id", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("began_at", EXACT, nullable=False),
        sa.Column("journal", sa.Text(), nullable=False),
        sa.Column("issued_at", EXACT),
        sa.Column("signed", sa.Text()),
        sa.Column("supplements", sa.Text(), nullable=False),
        sa.Column("pending", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("try_at", EXACT),
        sa.PrimaryKeyConstraint("id", name="pk_erasure_receipts"),
        sa.UniqueConstraint("tenant_id", name="uq_erasure_receipts_tenant_id"),
    )
    op.create_index("ix_erasure_receipts_try_at", "erasure_receipts", ["try_at"])
