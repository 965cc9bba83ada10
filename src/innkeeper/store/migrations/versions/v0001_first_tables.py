"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "tenants",
        sa.Column("name", EXACT, nullable=False),
        sa.Column("id", EXACT, nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("created_at", EXACT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("wanted", EXACT, nullable=False),
        sa.Column("rung", EXACT, nullable=False),
        sa.Column("purge", sa.Boolean(), nullable=False),
        sa.Column("token_epoch", sa.Integer(), nullable=False),
        sa.Column("last_activity", EXACT),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("state", EXACT, nullable=False),
        sa.Column("lease_holder", EXACT),
        sa.Column("lease_token", EXACT),
        sa.Column("lease_until", sa.Double()),
        sa.PrimaryKeyConstraint("name", name="pk_tenants"),
        sa.UniqueConstraint("id", name="uq_tenants_id"),
        sa.UniqueConstraint("slot", name="uq_tenants_slot"),
    )
    op.create_index("ix_tenants_state", "tenants", ["state"])
    op.create_table(
        "hostnames",
        sa.Column("hostname", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("hostname", name="pk_hostnames"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_hostnames_tenant", ondelete="CASCADE"),
    )
    op.create_index("ix_hostnames_tenant", "hostnames", ["tenant"])
    op.create_table(
        "tenant_keys",
        sa.Column("id", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hint", EXACT, nullable=False),
        sa.Column("digest", EXACT, nullable=False),
        sa.Column("created_at", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenant_keys"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_tenant_keys_tenant", ondelete="CASCADE"),
    )
    op.create_index("ix_tenant_keys_tenant", "tenant_keys", ["tenant"])
    op.create_table(
        "operations",
        sa.Column("id", EXACT, nullable=False),
        sa.Column("kind", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", EXACT, nullable=False),
        sa.Column("updated_at", EXACT, nullable=False),
        sa.Column("deadline", EXACT, nullable=False),
        sa.Column("status", EXACT, nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_operations"),
    )
    op.create_index("ix_operations_tenant", "operations", ["tenant", "id"])
    op.create_index("ix_operations_tenant_id", "operations", ["tenant_id"])
    op.create_index("ix_operations_status", "operations", ["status"])
    op.create_table(
        "receipts",
        sa.Column("actor", EXACT, nullable=False),
        sa.Column("key", EXACT, nullable=False),
        sa.Column("fingerprint", EXACT, nullable=False),
        sa.Column("operation_id", EXACT, nullable=False),
        sa.Column("created_at", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name="pk_receipts"),
    )
    op.create_index("ix_receipts_operation_id", "receipts", ["operation_id"])
    op.create_table(
        "releases",
        sa.Column("agent", EXACT, nullable=False),
        sa.Column("version", EXACT, nullable=False),
        sa.Column("image", EXACT, nullable=False),
        sa.Column("source", EXACT, nullable=False),
        sa.Column("size_mb", sa.Integer(), nullable=False),
        sa.Column("created_at", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("agent", "version", name="pk_releases"),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", EXACT, nullable=False),
        sa.Column("actor", EXACT, nullable=False),
        sa.Column("action", EXACT, nullable=False),
        sa.Column("tenant", EXACT),
        sa.Column("tenant_id", EXACT),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    op.create_index("ix_audit_tenant", "audit", ["tenant", "number"])
    op.create_index("ix_audit_tenant_id", "audit", ["tenant_id"])
