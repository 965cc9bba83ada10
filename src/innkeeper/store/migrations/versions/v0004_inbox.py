"""Webhooks are kept until they are delivered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """None has been accepted yet."""
    op.create_table(
        "messages",
        sa.Column("number", COUNT, autoincrement=True, nullable=False),
        sa.Column("id", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("path", EXACT, nullable=False),
        sa.Column("port", sa.Integer()),
        sa.Column("sender_id", sa.Text()),
        sa.Column("fingerprint", EXACT),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("received_at", EXACT, nullable=False),
        sa.Column("next_attempt_at", EXACT, nullable=False),
        sa.Column("state", EXACT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempt", EXACT),
        sa.Column("attempt_at", EXACT),
        sa.Column("ended_at", EXACT),
        sa.Column("last_error", sa.Text()),
        sa.Column("sealed", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("number", name="pk_messages"),
        sa.UniqueConstraint("id", name="uq_messages_id"),
        sa.UniqueConstraint("tenant_id", "path", "fingerprint", name="uq_messages_tenant_id"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_messages_tenant", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_messages_tenant", "messages", ["tenant", "number"])
    op.create_index("ix_messages_state", "messages", ["state", "tenant", "path", "number"])
