"""Secrets: ciphertexts by owner, name and version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """There were none."""
    op.create_table(
        "secrets",
        sa.Column("owner", EXACT, nullable=False),
        sa.Column("name", EXACT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("tenant", EXACT),
        sa.Column("created_at", EXACT, nullable=False),
        sa.Column("created_by", EXACT, nullable=False),
        sa.Column("expires_at", EXACT),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "name", "version", name="pk_secrets"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_secrets_tenant", ondelete="CASCADE"),
    )
    op.create_index("ix_secrets_tenant", "secrets", ["tenant"])
