"""What was measured of each tenant is kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Nothing has been measured yet."""
    op.add_column("tenants", sa.Column("past", sa.Text()))
