"""The versions of packs that there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """There are none yet."""
    op.create_table(
        "packs",
        sa.Column("name", EXACT, nullable=False),
        sa.Column("version", EXACT, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("digest", EXACT, nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("size", COUNT, nullable=False),
        sa.Column("added_at", EXACT, nullable=False),
        sa.Column("added_by", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name="pk_packs"),
    )
