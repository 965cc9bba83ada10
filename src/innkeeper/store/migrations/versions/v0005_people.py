"""Users, their memberships, tokens and sessions; keys that expire; and more of what the trail tells."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

EXACT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Whoever had the admin token or a key has them still."""
    op.add_column("tenant_keys", sa.Column("expires_at", EXACT))
    _users()
    _members()
    _tokens()
    _sessions()
    for column in (
        sa.Column("kind", EXACT, nullable=False, server_default="system"),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.Column("address", EXACT),
        sa.Column("request", EXACT),
        sa.Column("link", EXACT),
    ):
        op.add_column("audit", column)
    _ends_of_the_trail()
    # Until now there were the admin, keys and the control plane itself.
    op.execute("UPDATE audit SET kind = 'admin' WHERE actor = 'admin'")
    op.execute("UPDATE audit SET kind = 'key' WHERE actor LIKE 'key\\_%' ESCAPE '\\'")


def _of(table: str, key: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.{key}"], name=f"fk_{table}_{column}", ondelete="CASCADE")


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", EXACT, nullable=False),
        sa.Column("mail", EXACT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", EXACT),
        sa.Column("password", sa.Text()),
        sa.Column("issuer", EXACT),
        sa.Column("subject", EXACT),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("mail", name="uq_users_mail"),
        sa.UniqueConstraint("issuer", "subject", name="uq_users_issuer"),
    )


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("user", EXACT, nullable=False),
        sa.Column("tenant", EXACT, nullable=False),
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("role", EXACT, nullable=False),
        sa.Column("created_at", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("user", "tenant", name="pk_members"),
        _of("members", "id", "user", "users"),
        _of("members", "name", "tenant", "tenants"),
    )
    op.create_index("ix_members_tenant", "members", ["tenant"])


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", EXACT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user", EXACT),
        sa.Column("role", EXACT),
        sa.Column("tenant", EXACT),
        sa.Column("tenant_role", EXACT),
        sa.Column("scopes", EXACT, nullable=False),
        sa.Column("hint", EXACT, nullable=False),
        sa.Column("digest", EXACT, nullable=False),
        sa.Column("created_by", EXACT, nullable=False),
        sa.Column("created_at", EXACT, nullable=False),
        sa.Column("expires_at", EXACT),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
        _of("tokens", "id", "user", "users"),
        _of("tokens", "name", "tenant", "tenants"),
    )
    op.create_index("ix_tokens_user", "tokens", ["user"])
    op.create_index("ix_tokens_tenant", "tokens", ["tenant"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", EXACT, nullable=False),
        sa.Column("user", EXACT, nullable=False),
        sa.Column("digest", EXACT, nullable=False),
        sa.Column("method", EXACT, nullable=False),
        sa.Column("address", EXACT),
        sa.Column("browser", sa.Text(), nullable=False),
        sa.Column("created_at", EXACT, nullable=False),
        sa.Column("expires_at", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("digest", name="uq_sessions_digest"),
        _of("sessions", "id", "user", "users"),
    )
    op.create_index("ix_sessions_user", "sessions", ["user"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "tickets",
        sa.Column("digest", EXACT, nullable=False),
        sa.Column("session", EXACT, nullable=False),
        sa.Column("tenant_id", EXACT, nullable=False),
        sa.Column("host", EXACT, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("binding", EXACT, nullable=False),
        sa.Column("expires_at", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_tickets"),
        _of("tickets", "id", "session", "sessions"),
    )
    op.create_index("ix_tickets_session", "tickets", ["session"])


def _ends_of_the_trail() -> None:
    """Its lines are tied together when the store is opened: that takes the keyring."""
    op.create_table(
        "audit_ends",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("began", sa.Integer(), nullable=False),
        sa.Column("cut", sa.Integer(), nullable=False),
        sa.Column("cut_link", EXACT, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("last_link", EXACT, nullable=False),
        sa.Column("seal", EXACT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_ends"),
    )
