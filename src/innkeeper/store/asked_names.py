"""The core's `AskedNames` on a SQL connection, the same for both databases."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.egress import AskedName, joined, newest
from innkeeper.core.kept_json import moment, stamp
from innkeeper.store import tables
from innkeeper.store.rows import AnyRow

_column = tables.asked_names.c


class SqlAskedNames:
    """What tenants have asked for, within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of(self, tenant: str) -> Sequence[AskedName]:
        query = select(tables.asked_names).where(_column.tenant == tenant).order_by(_column.name)
        return [_asked_name_of(row) for row in await self._connection.execute(query)]

    async def add(self, tenant: str, tenant_id: str, asked: Sequence[AskedName], *, keep: int) -> Collection[str]:
        its = tables.tenants.c
        there = select(its.name).where(its.name == tenant, its.id == tenant_id)
        if (await self._connection.execute(there)).first() is None:
            return ()
        before = {each.name: each for each in await self.of(tenant)}
        after = before | {each.name: joined(before.get(each.name), each) for each in asked}
        kept = {each.name: each for each in newest(after.values(), keep)}
        changed = [each for each in kept.values() if before.get(each.name) != each]
        gone = [name for name in before if name not in kept or before[name] != kept[name]]
        if gone:
            mine = _column.tenant == tenant
            await self._connection.execute(delete(tables.asked_names).where(mine, _column.name.in_(gone)))
        if changed:
            values = [_values(tenant, each) for each in changed]
            await self._connection.execute(insert(tables.asked_names), values)
        return [each.name for each in asked if each.refused and not (each.name in before and before[each.name].refused)]

    async def forget(self, tenant: str) -> int:
        gone = delete(tables.asked_names).where(_column.tenant == tenant)
        return (await self._connection.execute(gone)).rowcount


def _values(tenant: str, asked: AskedName) -> dict[str, object]:
    moments = {"first_seen": stamp(asked.first_seen), "last_seen": stamp(asked.last_seen)}
    return {**vars(asked), **moments, "tenant": tenant}


def _asked_name_of(row: AnyRow) -> AskedName:
    return AskedName(
        name=row.name,
        first_seen=moment(row.first_seen),
        last_seen=moment(row.last_seen),
        asked=row.asked,
        refused=row.refused,
    )
