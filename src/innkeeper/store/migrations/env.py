"""Alembic's entry: runs the migrations on the connection that it is handed, within its transaction."""

from __future__ import annotations

from alembic import context

from innkeeper.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # holds for SQLite too, as its transactions are begun here
)
with context.begin_transaction():
    context.run_migrations()
