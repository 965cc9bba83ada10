"""The core's `IntegrationRows` on a SQL connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.integration import Begun, Connection, Standing
from innkeeper.core.kept_json import moment, stamp
from innkeeper.store import rules, tables
from innkeeper.store.rows import AnyRow, moment_or_none

_MOMENTS = ("connected_at", "expires_at", "refreshed_at", "claim_until", "retry_at")


class SqlIntegrations:
    """What tenants are connected to."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of(self, tenant: str) -> Sequence[Connection]:
        column = tables.integrations.c
        query = select(tables.integrations).where(column.tenant == tenant).order_by(column.integration)
        return [_connection_of(row) for row in await self._connection.execute(query)]

    async def find(self, tenant: str, integration: str) -> Connection | None:
        column = tables.integrations.c
        query = select(tables.integrations).where(column.tenant == tenant, column.integration == integration)
        row = (await self._connection.execute(query)).first()
        return _connection_of(row) if row else None

    async def put(self, connection: Connection) -> None:
        await self._check_tenant(connection.tenant)
        await self.drop(connection.tenant, connection.integration)
        await self._connection.execute(insert(tables.integrations).values(_values(connection)))

    async def drop(self, tenant: str, integration: str) -> bool:
        column = tables.integrations.c
        its = delete(tables.integrations).where(column.tenant == tenant, column.integration == integration)
        return (await self._connection.execute(its)).rowcount > 0

    async def begin(self, begun: Begun) -> None:
        await self._check_tenant(begun.tenant)
        table, column = tables.integration_states, tables.integration_states.c
        same = (column.session == begun.session, column.tenant == begun.tenant)
        await self._connection.execute(delete(table).where(*same, column.integration == begun.integration))
        values = {**vars(begun), "expires_at": stamp(begun.expires_at)}
        await self._connection.execute(insert(table).values(values))

    async def has_begun(self, digest: str) -> bool:
        column = tables.integration_states.c.digest
        return (await self._connection.execute(select(column).where(column == digest))).first() is not None

    async def take(self, digest: str) -> Begun | None:
        table = tables.integration_states
        taken = await self._connection.execute(delete(table).where(table.c.digest == digest).returning(table))
        row = taken.first()
        return Begun(**{**row._mapping, "expires_at": moment(row.expires_at)}) if row else None

    async def forget_begun(self, *, before: datetime) -> int:
        table = tables.integration_states
        return (await self._connection.execute(delete(table).where(table.c.expires_at <= stamp(before)))).rowcount

    async def _check_tenant(self, name: str) -> None:
        column = tables.tenants.c.name
        if (await self._connection.execute(select(column).where(column == name))).first() is None:
            raise rules.no_tenant(name)


def _values(connection: Connection) -> dict[str, Any]:
    values: dict[str, Any] = dict(vars(connection))
    moments = {name: stamp(values[name]) for name in _MOMENTS if values[name] is not None}
    return {**values, **moments, "standing": connection.standing.value, "scopes": " ".join(connection.scopes)}


def _connection_of(row: AnyRow) -> Connection:
    moments = {name: moment_or_none(row._mapping[name]) for name in _MOMENTS}
    kept = Connection(**{**row._mapping, **moments, "scopes": tuple(row.scopes.split())})
    return replace(kept, standing=Standing(row.standing))
