"""What tenants have asked name servers for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """They go with their tenant."""
    op.create_table(
        "asked_names",
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("name", EXACT, nullable=False),
        sa.Column("first_seen", EXACT, nullable=False),
        sa.Column("last_seen", EXACT, nullable=False),
        sa.Column("asked", COUNT, nullable=False),
        sa.Column("refused", COUNT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name="pk_asked_names"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_asked_names_tenant", ondelete="CASCADE"),
    )
