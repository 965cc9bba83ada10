"""Operations that are carried out on a tenant's folder, and tenants that are closed or fenced meanwhile."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Nobody is closed or fenced yet."""
    op.add_column("tenants", sa.Column("closed", EXACT))
    op.add_column("tenants", sa.Column("fenced", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("operations", sa.Column("detail", sa.Text()))
    op.create_table(
        "work_leases",
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("holder", EXACT, nullable=False),
        sa.Column("token", EXACT, nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_work_leases"),
    )
