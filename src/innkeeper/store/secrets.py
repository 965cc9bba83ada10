"""The core's `SecretRows` on a SQL connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.kept_json import moment, stamp
from innkeeper.core.secrets import SecretVersion
from innkeeper.store import rules, tables
from innkeeper.store.rows import AnyRow, moment_or_none

_SHOWN = [column for column in tables.secrets.c if column.name != "sealed"]


class SqlSecrets:
    """The vault's rows."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def versions(self, owner: str, name: str | None = None) -> Sequence[SecretVersion]:
        column = tables.secrets.c
        query = select(*_SHOWN).where(column.owner == owner).order_by(column.name, column.version)
        if name is not None:
            query = query.where(column.name == name)
        return [_version_of(row) for row in await self._connection.execute(query)]

    async def newest(self, owner: str, names: Collection[str]) -> Sequence[tuple[SecretVersion, bytes]]:
        table, other = tables.secrets, tables.secrets.alias()
        same = (other.c.owner == table.c.owner, other.c.name == table.c.name)
        last = select(func.max(other.c.version)).where(*same).scalar_subquery()
        query = select(*_SHOWN, table.c.sealed).where(
            table.c.owner == owner, table.c.name.in_(names), table.c.version == last
        )
        return [(_version_of(row), bytes(row.sealed)) for row in await self._connection.execute(query)]

    async def sealed(self, version: SecretVersion) -> bytes | None:
        column = tables.secrets.c
        same = (column.owner == version.owner, column.name == version.name, column.version == version.version)
        return (await self._connection.execute(select(column.sealed).where(*same))).scalar_one_or_none()

    async def add(self, version: SecretVersion, sealed: bytes) -> None:
        name = tables.tenants.c.name
        if version.tenant is not None:
            its = select(name).where(name == version.tenant, tables.tenants.c.id == version.owner)
            if (await self._connection.execute(its)).first() is None:
                raise rules.no_tenant(version.tenant)
        if await self.sealed(version) is not None:
            raise rules.version_taken(version.name)
        moments = {
            "created_at": stamp(version.created_at),
            "expires_at": None if version.expires_at is None else stamp(version.expires_at),
        }
        await self._connection.execute(insert(tables.secrets).values({**vars(version), **moments, "sealed": sealed}))

    async def drop(self, owner: str, name: str, versions: Collection[int] | None = None) -> int:
        column = tables.secrets.c
        query = delete(tables.secrets).where(column.owner == owner, column.name == name)
        if versions is not None:
            query = query.where(column.version.in_(versions))
        return (await self._connection.execute(query)).rowcount

    async def owners(self) -> Collection[str]:
        return set((await self._connection.execute(select(tables.secrets.c.owner).distinct())).scalars())


def _version_of(row: AnyRow) -> SecretVersion:
    fields = {column.name: row._mapping[column.name] for column in _SHOWN}
    moments = {"created_at": moment(row.created_at), "expires_at": moment_or_none(row.expires_at)}
    return SecretVersion(**{**fields, **moments})
