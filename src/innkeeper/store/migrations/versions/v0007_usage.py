"""What calls used is kept by day, tenant, provider and model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTS = ("calls", "unmeasured", "unpriced", "input", "output", "cache_read", "cache_write", "micro_usd")


def upgrade() -> None:
    """Until now nothing of it was kept."""
    op.create_table(
        "usage",
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("day", EXACT, nullable=False),
        sa.Column("provider", EXACT, nullable=False),
        sa.Column("model", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        *(sa.Column(name, COUNT, nullable=False) for name in COUNTS),
        sa.PrimaryKeyConstraint("tenant_id", "day", "provider", "model", name="pk_usage"),
    )
    op.create_index("ix_usage_day", "usage", ["day", "tenant", "tenant_id"])
