"""What tenants were called whose data others have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Whose data came under another name before has had its own for a hostname ever since."""
    op.add_column("tenants", sa.Column("born_as", sa.String()))
