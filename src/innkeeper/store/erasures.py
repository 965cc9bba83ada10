"""The core's `Erasures` on a SQL connection, the same for both databases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.receipts import ErasureReceipt, Signed, signed_of
from innkeeper.store import tables
from innkeeper.store.of_tenant import tables_with
from innkeeper.store.rows import AnyRow, moment, moment_or_none, stamp

_table = tables.erasure_receipts
_MOMENTS = ("began_at", "issued_at", "try_at")


class SqlErasures:
    """Erasures and their receipts."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of(self, tenant_id: str) -> ErasureReceipt | None:
        return await self._one(select(_table).where(_table.c.tenant_id == tenant_id))

    async def get(self, receipt_id: str) -> ErasureReceipt | None:
        return await self._one(select(_table).where(_table.c.id == receipt_id))

    async def put(self, receipt: ErasureReceipt) -> None:
        await self._connection.execute(delete(_table).where(_table.c.id == receipt.id))
        await self._connection.execute(insert(_table).values(_values(receipt)))

    async def page(
        self, *, tenant: str | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[ErasureReceipt]:
        query = select(_table).where(_table.c.issued_at.is_not(None), _table.c.id > after)
        if tenant is not None:
            query = query.where(_table.c.tenant == tenant)
        return await self._many(query.order_by(_table.c.id).limit(limit))

    async def due(self, now: datetime) -> Sequence[ErasureReceipt]:
        turn = (_table.c.issued_at.is_not(None), _table.c.try_at <= stamp(now))
        return await self._many(select(_table).where(*turn).order_by(_table.c.try_at))

    async def counted(self, name: str, tenant_id: str) -> Mapping[str, int]:
        """How many rows of each table are that tenant's; tables without any are left out."""
        found = {}
        for table, mine in tables_with(name, tenant_id):
            query = select(func.count()).select_from(table).where(mine)
            if number := int((await self._connection.execute(query)).scalar_one()):
                found[table.name] = number
        return found

    async def drop_rows(self, name: str, tenant_id: str) -> None:
        """Drop them all."""
        for table, mine in tables_with(name, tenant_id):
            await self._connection.execute(delete(table).where(mine))

    async def _many(self, query: Select[Any]) -> list[ErasureReceipt]:
        return [_receipt_of(row) for row in await self._connection.execute(query)]

    async def _one(self, query: Select[Any]) -> ErasureReceipt | None:
        row = (await self._connection.execute(query)).first()
        return None if row is None else _receipt_of(row)


def _values(receipt: ErasureReceipt) -> dict[str, Any]:
    moments = {name: None if (at := getattr(receipt, name)) is None else stamp(at) for name in _MOMENTS}
    return {
        **vars(receipt),
        **moments,
        "journal": json.dumps(dict(receipt.journal)),
        "signed": receipt.signed and json.dumps(receipt.signed.document()),
        "supplements": json.dumps([each.document() for each in receipt.supplements]),
        "pending": json.dumps(receipt.pending),
    }


def _receipt_of(row: AnyRow) -> ErasureReceipt:
    return ErasureReceipt(
        id=row.id,
        tenant=row.tenant,
        tenant_id=row.tenant_id,
        began_at=moment(row.began_at),
        journal=json.loads(row.journal),
        issued_at=moment_or_none(row.issued_at),
        signed=_signed_of(row.signed),
        supplements=tuple(signed_of(each) for each in json.loads(row.supplements)),
        pending=tuple(json.loads(row.pending)),
        failures=row.failures,
        try_at=moment_or_none(row.try_at),
    )


def _signed_of(text: str | None) -> Signed | None:
    return None if text is None else signed_of(json.loads(text))
