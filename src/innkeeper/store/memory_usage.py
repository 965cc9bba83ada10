"""The core's `UsageBook` on plain dictionaries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from innkeeper.core.ports.usage import PageKey, Sums, page_key
from innkeeper.core.usage import Amount, UsageKey, UsageRow, UsageSought, month_of, summed
from innkeeper.store.memory_tables import Tables


class MemoryUsage:
    """What calls used, within one transaction."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, rows: Sequence[UsageRow]) -> None:
        there = {tenant.id for tenant in self._tables.tenants.values()}
        more: dict[UsageKey, UsageRow] = {}
        for row in rows:
            if row.key.tenant_id in there:
                more = summed(more, {row.key: row})
        self._tables.usage = summed(self._tables.usage, more)

    async def sums(self, tenant_ids: Collection[str], day: str) -> Mapping[str, Sums]:
        found: dict[str, Sums] = {}
        for key, row in self._tables.usage.items():
            if key.tenant_id in tenant_ids and month_of(key.period) == month_of(day):
                of_day, of_month = found.get(key.tenant_id, Sums(Amount(), Amount()))
                amount = row.counts.amount
                found[key.tenant_id] = Sums(of_day.plus(amount) if key.period == day else of_day, of_month.plus(amount))
        return found

    async def page(
        self, sought: UsageSought, *, after: PageKey | None = None, limit: int | None = None
    ) -> Sequence[UsageRow]:
        found: dict[UsageKey, UsageRow] = {}
        for row in self._tables.usage.values():
            if _is_sought(row, sought):
                key = row.key._replace(period=month_of(row.key.period)) if sought.by_month else row.key
                found = summed(found, {key: replace(row, key=key)})
        ordered = sorted(found.values(), key=page_key)
        return [row for row in ordered if after is None or page_key(row) > after][:limit]

    async def forget(self, *, before: str) -> int:
        old = [key for key in self._tables.usage if key.period < before]
        for key in old:
            del self._tables.usage[key]
        return len(old)


def _is_sought(row: UsageRow, sought: UsageSought) -> bool:
    key = row.key
    of = {"tenant": row.tenant, "tenant_id": key.tenant_id, "provider": key.provider, "model": key.model}
    if any(getattr(sought, name) not in (None, value) for name, value in of.items()):
        return False
    if sought.since is not None and key.period < sought.since.isoformat():
        return False
    return sought.until is None or key.period <= sought.until.isoformat()
