"""The core's `AskedNames` on plain dictionaries."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from innkeeper.core.egress import AskedName, joined, newest
from innkeeper.store.memory_tables import Tables


class MemoryAskedNames:
    """What tenants have asked for, within one transaction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def of(self, tenant: str) -> Sequence[AskedName]:
        return [each for _, each in sorted(self._tables.asked_names.get(tenant, {}).items())]

    async def add(self, tenant: str, tenant_id: str, asked: Sequence[AskedName], *, keep: int) -> Collection[str]:
        there = self._tables.tenants.get(tenant)
        if there is None or there.id != tenant_id:
            return ()
        before = self._tables.asked_names.get(tenant, {})
        after = before | {each.name: joined(before.get(each.name), each) for each in asked}
        self._tables.asked_names[tenant] = {each.name: each for each in newest(after.values(), keep)}
        return [each.name for each in asked if each.refused and not (each.name in before and before[each.name].refused)]

    async def forget(self, tenant: str) -> int:
        return len(self._tables.asked_names.pop(tenant, {}))
