"""The core's `Messages` on a SQL connection, the same for both databases."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.messages import Lane, Message, MessageState
from innkeeper.core.ports import Load
from innkeeper.store import rows, rules, tables

_column = tables.messages.c
_OPEN = [state.value for state in MessageState if state.open]


class SqlMessages:
    """The inboxes, within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, message: Message, sealed: bytes) -> Message:
        tenant = tables.tenants.c
        there = select(tenant.name).where(tenant.name == message.tenant, tenant.id == message.tenant_id)
        if (await self._connection.execute(there)).first() is None:
            raise rules.no_tenant(message.tenant)
        if message.fingerprint is not None and await self.like(message.tenant_id, message.path, message.fingerprint):
            raise rules.kept_already()
        values = rows.message_values(message) | {"sealed": sealed}
        added = await self._connection.execute(insert(tables.messages).values(values).returning(*rows.MESSAGE))
        return rows.message_of(added.one())

    async def get(self, tenant: str, message_id: str) -> Message | None:
        return await self._one(_select().where(_column.id == message_id, _column.tenant == tenant))

    async def like(self, tenant_id: str, path: str, fingerprint: str) -> Message | None:
        same = (_column.tenant_id == tenant_id, _column.path == path, _column.fingerprint == fingerprint)
        return await self._one(_select().where(*same))

    async def sealed(self, message_id: str) -> bytes | None:
        found = await self._connection.execute(select(_column.sealed).where(_column.id == message_id))
        kept: bytes | None = found.scalar_one_or_none()
        return kept

    async def page(
        self, tenant: str, *, states: Collection[MessageState] = (), after: int = 0, limit: int | None = None
    ) -> Sequence[Message]:
        query = _select().where(_column.tenant == tenant, _column.number > after)
        if states:
            query = query.where(_column.state.in_([state.value for state in states]))
        return await self._many(query.order_by(_column.number).limit(limit))

    async def head(self, lane: Lane) -> Message | None:
        query = _select().where(_column.tenant == lane.tenant, _column.path == lane.path, _column.state.in_(_OPEN))
        return await self._one(query.order_by(_column.number).limit(1))

    async def lanes(self) -> Sequence[Lane]:
        query = select(_column.tenant, _column.path).where(_column.state.in_(_OPEN)).distinct()
        return [Lane(row.tenant, row.path) for row in await self._connection.execute(query)]

    async def under_way(self) -> Sequence[Message]:
        return await self._many(
            _select().where(_column.state == MessageState.DELIVERING.value).order_by(_column.number)
        )

    async def load(self, tenant: str) -> Load:
        sums = select(func.count(), func.coalesce(func.sum(_column.size), 0))
        messages, size = (
            await self._connection.execute(sums.where(_column.tenant == tenant, _column.state.in_(_OPEN)))
        ).one()
        return Load(messages=messages, bytes=int(size))

    async def change(self, message: Message, *, was: Message) -> bool:
        values = rows.message_values(message)
        if message.state is MessageState.DELIVERED:
            values["sealed"] = None
        same = (
            _column.id == was.id,
            _column.state == was.state.value,
            _column.attempt.is_not_distinct_from(was.attempt),
        )
        return bool((await self._connection.execute(update(tables.messages).where(*same).values(values))).rowcount)

    async def drop(self, message_ids: Collection[str]) -> int:
        return (await self._connection.execute(delete(tables.messages).where(_column.id.in_(message_ids)))).rowcount

    async def counts(self) -> Mapping[MessageState, int]:
        found = await self._connection.execute(select(_column.state, func.count()).group_by(_column.state))
        return {MessageState(state): number for state, number in found}

    async def forget(self, *, before: datetime, keep: int) -> int:
        delivered = _column.state == MessageState.DELIVERED.value
        old = delete(tables.messages).where(delivered, _column.ended_at < rows.stamp(before))
        dropped = (await self._connection.execute(old)).rowcount
        many = select(_column.tenant).where(delivered).group_by(_column.tenant).having(func.count() > keep)
        for tenant in (await self._connection.execute(many)).scalars().all():
            its = (_column.tenant == tenant, delivered)
            first_kept = select(_column.number).where(*its).order_by(_column.number.desc()).offset(keep).limit(1)
            beyond = delete(tables.messages).where(*its, _column.number <= first_kept.scalar_subquery())
            dropped += (await self._connection.execute(beyond)).rowcount
        return dropped

    async def _many(self, query: Select[*tuple[Any, ...]]) -> list[Message]:
        return [rows.message_of(row) for row in await self._connection.execute(query)]

    async def _one(self, query: Select[*tuple[Any, ...]]) -> Message | None:
        row = (await self._connection.execute(query)).first()
        return None if row is None else rows.message_of(row)


def _select() -> Select[*tuple[Any, ...]]:
    return select(*rows.MESSAGE)
