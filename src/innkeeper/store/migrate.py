"""Brings the tables up to date when a store is opened."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from innkeeper.core.errors import StoreUnavailable
from innkeeper.store.engines import Engines

SCRIPTS = Path(__file__).parent / "migrations"


async def migrate(engines: Engines) -> None:
    """Run every missing migration in one transaction; of several processes one does, and the others wait for it."""
    async with engines.reads.begin() as connection:
        if await connection.run_sync(_version) == newest():
            return
    async with engines.writes.begin() as connection:
        await engines.wait_for_turn(connection)
        await connection.run_sync(_upgrade, engines.place)


async def is_blank(engines: Engines) -> bool:
    """Whether nothing was ever migrated there."""
    async with engines.reads.begin() as connection:
        return await connection.run_sync(_version) is None


def newest() -> str:
    """The last migration's number, which its file is named by."""
    return max(script.name[1:5] for script in (SCRIPTS / "versions").glob("v*.py"))


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, place: str) -> None:
    # Most starts have nothing to do and are spared its 13 MB.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailable(
            f"The tables of {place} were made by another version of Innkeeper: {error}",
            hint="Run the newest version that has ever used this database, or a newer one.",
        ) from error
