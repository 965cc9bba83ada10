"""The core's `Erasures` on plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from innkeeper.core.receipts import ErasureReceipt
from innkeeper.store.memory_tables import Tables


class MemoryErasures:
    """Erasures and their receipts."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def of(self, tenant_id: str) -> ErasureReceipt | None:
        return next((each for each in self._tables.erasures.values() if each.tenant_id == tenant_id), None)

    async def get(self, receipt_id: str) -> ErasureReceipt | None:
        return self._tables.erasures.get(receipt_id)

    async def put(self, receipt: ErasureReceipt) -> None:
        self._tables.erasures[receipt.id] = receipt

    async def page(
        self, *, tenant: str | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[ErasureReceipt]:
        found = [
            receipt
            for id_, receipt in sorted(self._tables.erasures.items())
            if id_ > after and receipt.issued_at is not None and tenant in (None, receipt.tenant)
        ]
        return found[:limit]

    async def due(self, now: datetime) -> Sequence[ErasureReceipt]:
        found = [
            (each.try_at, each.id, each)
            for each in self._tables.erasures.values()
            if each.issued_at is not None and each.try_at is not None and each.try_at <= now
        ]
        return [each for *_, each in sorted(found)]

    def counted(self, name: str, tenant_id: str) -> Mapping[str, int]:
        """How many rows of each table are that tenant's; tables without any are left out."""
        tables = self._tables
        operations = [each.id for each in tables.operations.values() if each.tenant_id == tenant_id]
        found = {
            "tenants": sum(each.id == tenant_id for each in tables.tenants.values()),
            "hostnames": sum(owner == name for owner in tables.hostnames.values()),
            "tenant_keys": sum(each.tenant == name for each in tables.keys.values()),
            "members": sum(each.tenant == name for each in tables.members.values()),
            "tokens": sum(each.tenant == name for each in tables.tokens.values()),
            "tickets": sum(each.tenant_id == tenant_id for each in tables.tickets.values()),
            "integrations": sum(each.tenant == name for each in tables.connections.values()),
            "integration_states": sum(each.tenant == name for each in tables.begun.values()),
            "operations": len(operations),
            "receipts": sum(each.operation_id in operations for each in tables.receipts.values()),
            "messages": sum(each.tenant == name for each, _ in tables.messages.values()),
            "secrets": sum(each.tenant == name for each, _ in tables.secrets.values()),
            "asked_names": len(tables.asked_names.get(name, ())),
            "usage": sum(key.tenant_id == tenant_id for key in tables.usage),
            "snapshots": sum(each.owner == tenant_id for each in tables.snapshots.values()),
            "backup_states": int(tenant_id in tables.backup_states),
            "drills": sum(each.tenant_id == tenant_id for each in tables.drills.values()),
        }
        return {table: number for table, number in found.items() if number}

    def drop_rows(self, tenant_id: str) -> None:
        """Drop what doesn't go with the tenant's row."""
        tables = self._tables
        tables.tickets = {at: each for at, each in tables.tickets.items() if each.tenant_id != tenant_id}
        tables.operations = {at: each for at, each in tables.operations.items() if each.tenant_id != tenant_id}
        tables.usage = {key: row for key, row in tables.usage.items() if key.tenant_id != tenant_id}
        tables.snapshots = {at: each for at, each in tables.snapshots.items() if each.owner != tenant_id}
        tables.backup_states.pop(tenant_id, None)
