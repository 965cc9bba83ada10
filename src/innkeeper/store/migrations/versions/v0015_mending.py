"""What was lost of snapshots, where, which databases their tenants had broken, and when repositories were mended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """What was damaged before isn't known to be mendable: `backup repair` finds out."""
    op.add_column("snapshots", sa.Column("damage", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("snapshots", sa.Column("broken", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("backup_states", sa.Column("mended", sa.Text(), nullable=False, server_default="{}"))
