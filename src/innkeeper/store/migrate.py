"""Brings the tables up to date when a store is opened."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from innkeeper.core.errors import StoreUnavailable
from innkeeper.store.engines import Engines

SCRIPTS = Path(__file__).parent / "migrations"


async def migrate(engines: Engines) -> None:
    """Run every missing migration in one transaction; of several processes one does, and the others wait for it."""
    async with engines.writes.begin() as connection:
        await engines.wait_for_turn(connection)
        try:
            await connection.run_sync(_upgrade)
        except CommandError as error:
            raise StoreUnavailable(
                f"The tables of {engines.place} were made by another version of Innkeeper: {error}",
                hint="Run the newest version that has ever used this database, or newer.",
            ) from error


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
