"""The core's `PackRows` on a SQL connection."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.packs import PackRelease
from innkeeper.store import rules, tables
from innkeeper.store.rows import AnyRow, moment, stamp

_column = tables.packs.c


class SqlPacks:
    """The packs' rows."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def all(self, name: str | None = None) -> Sequence[PackRelease]:
        query = select(tables.packs).order_by(_column.name, _column.version)
        if name is not None:
            query = query.where(_column.name == name)
        return [_release_of(row) for row in await self._connection.execute(query)]

    async def add(self, release: PackRelease) -> None:
        there = select(_column.name).where(_column.name == release.name, _column.version == release.version)
        if (await self._connection.execute(there)).first() is not None:
            raise rules.pack_taken(release.name, release.version)
        values = {**vars(release), "added_at": stamp(release.added_at)}
        await self._connection.execute(insert(tables.packs).values(values))

    async def drop(self, name: str, version: str) -> bool:
        gone = delete(tables.packs).where(_column.name == name, _column.version == version)
        return (await self._connection.execute(gone)).rowcount > 0


def _release_of(row: AnyRow) -> PackRelease:
    return PackRelease(**{**row._mapping, "added_at": moment(row.added_at)})
