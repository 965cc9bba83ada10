"""A change of the spec that the instance needn't know of no longer makes it anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Instances are as they were, so each is as current as its tenant's revision."""
    op.add_column("tenants", sa.Column("remade_at", sa.Integer(), nullable=False, server_default="1"))
    op.execute("UPDATE tenants SET remade_at = revision")
