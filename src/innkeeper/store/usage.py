"""The core's `UsageBook` on a SQL connection, the same for both databases."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.ports.usage import PageKey, Sums
from innkeeper.core.usage import Amount, Counts, Tokens, UsageKey, UsageRow, UsageSought, month_of
from innkeeper.store import tables

_column = tables.usage.c
_COUNTS = ("calls", "unmeasured", "unpriced", "input", "output", "cache_read", "cache_write", "micro_usd")
_TOKENS = _column.input + _column.output + _column.cache_read + _column.cache_write


class SqlUsage:
    """What calls used, within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, rows: Sequence[UsageRow]) -> None:
        tenant = tables.tenants.c.id
        there = set(
            (await self._connection.execute(select(tenant).where(tenant.in_({row.key.tenant_id for row in rows}))))
            .scalars()
            .all()
        )
        for row in sorted(rows, key=lambda each: each.key):
            if row.key.tenant_id in there:
                await self._add(row)

    async def _add(self, row: UsageRow) -> None:
        # Writers wait for each other: between the two statements nobody else adds the line.
        key, values = _key_values(row.key), _values(row.counts)
        line = [_column[name] == value for name, value in key.items()]
        more = {name: _column[name] + value for name, value in values.items()}
        if not (await self._connection.execute(update(tables.usage).where(*line).values(more))).rowcount:
            await self._connection.execute(insert(tables.usage).values({**key, "tenant": row.tenant, **values}))

    async def sums(self, tenant_ids: Collection[str], day: str) -> Mapping[str, Sums]:
        if not tenant_ids:
            return {}
        month = month_of(day)
        by_day = (
            select(_column.tenant_id, _column.day, func.sum(_TOKENS), func.sum(_column.micro_usd))
            .where(_column.tenant_id.in_(tenant_ids), _column.day >= f"{month}-01", _column.day <= f"{month}-31")
            .group_by(_column.tenant_id, _column.day)
        )
        found: dict[str, Sums] = {}
        for tenant_id, at, tokens, micro_usd in await self._connection.execute(by_day):
            before = found.get(tenant_id, Sums(Amount(), Amount()))
            amount = Amount(int(tokens), int(micro_usd))
            found[tenant_id] = Sums(amount if at == day else before.day, before.month.plus(amount))
        return found

    async def page(
        self, sought: UsageSought, *, after: PageKey | None = None, limit: int | None = None
    ) -> Sequence[UsageRow]:
        period: ColumnElement[str] = func.substr(_column.day, 1, 7) if sought.by_month else _column.day
        order = (period, _column.tenant, _column.tenant_id, _column.provider, _column.model)
        query = (
            select(*order, *(func.sum(_column[name]) for name in _COUNTS))
            .where(*_conditions(sought))
            .group_by(*order)
            .order_by(*order)
            .limit(limit)
        )
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(*(literal(part) for part in after)))
        return [_row(row) for row in await self._connection.execute(query)]

    async def forget(self, *, before: str) -> int:
        return (await self._connection.execute(delete(tables.usage).where(_column.day < before))).rowcount


def _conditions(sought: UsageSought) -> list[ColumnElement[bool]]:
    equal = {name: getattr(sought, name) for name in ("tenant", "tenant_id", "provider", "model")}
    found: list[ColumnElement[bool]] = [_column[name] == value for name, value in equal.items() if value is not None]
    if sought.since is not None:
        found.append(_column.day >= sought.since.isoformat())
    if sought.until is not None:
        found.append(_column.day <= sought.until.isoformat())
    return found


def _key_values(key: UsageKey) -> dict[str, str]:
    return {"tenant_id": key.tenant_id, "day": key.period, "provider": key.provider, "model": key.model}


def _values(counts: Counts) -> dict[str, int]:
    of = {**vars(counts), **vars(counts.tokens)}
    return {name: of[name] for name in _COUNTS}


def _row(row: Any) -> UsageRow:
    period, tenant, tenant_id, provider, model, *numbers = row
    # PostgreSQL's sums of large numbers are decimals.
    calls, unmeasured, unpriced, sent, said, read, written, micro_usd = map(int, numbers)
    tokens = Tokens(input=sent, output=said, cache_read=read, cache_write=written)
    counts = Counts(calls=calls, unmeasured=unmeasured, unpriced=unpriced, tokens=tokens, micro_usd=micro_usd)
    return UsageRow(key=UsageKey(tenant_id, period, provider, model), tenant=tenant, counts=counts)
