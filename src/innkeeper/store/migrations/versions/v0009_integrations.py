"""What tenants are connected to, and connections that were begun."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Nobody is connected to anything yet."""
    op.create_table(
        "integrations",
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("integration", EXACT, nullable=False),
        sa.Column("id", EXACT, nullable=False),
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("standing", EXACT, nullable=False),
        sa.Column("connected_by", EXACT, nullable=False),
        sa.Column("connected_as", sa.Text(), nullable=False),
        sa.Column("connected_at", EXACT, nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires_at", EXACT),
        sa.Column("refreshed_at", EXACT),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("claim", EXACT),
        sa.Column("claim_until", EXACT),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", EXACT),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("tenant", "integration", name="pk_integrations"),
        sa.UniqueConstraint("id", name="uq_integrations_id"),
        _of("integrations", "name", "tenant", "tenants"),
    )
    op.create_table(
        "integration_states",
        sa.Column("digest", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("integration", EXACT, nullable=False),
        sa.Column("session", EXACT, nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_integration_states"),
        _of("integration_states", "name", "tenant", "tenants"),
        _of("integration_states", "id", "session", "sessions"),
    )
    for column in ("tenant", "session", "expires_at"):
        op.create_index(f"ix_integration_states_{column}", "integration_states", [column])


def _of(table: str, key: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.{key}"], name=f"fk_{table}_{column}", ondelete="CASCADE")
