"""What the core needs of a store for what calls used."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from innkeeper.core.usage import Amount, UsageRow, UsageSought


class Sums(NamedTuple):
    """What a tenant used in a day, and in the month that it lies in."""

    day: Amount
    month: Amount


class PageKey(NamedTuple):
    """Where a row stands in the order of pages."""

    period: str
    tenant: str
    tenant_id: str
    provider: str
    model: str


class UsageBook(Protocol):
    """The lines of all tenants, within a transaction. They outlive their tenant, unless it is purged."""

    async def add(self, rows: Sequence[UsageRow]) -> None:
        """Add to the lines of those days what these hold; for a tenant that isn't there nothing is written."""
        ...

    async def sums(self, tenant_ids: Collection[str], day: str) -> Mapping[str, Sums]:
        """What each of them used that day and in its month; of who isn't there, nothing."""
        ...

    async def page(
        self, sought: UsageSought, *, after: PageKey | None = None, limit: int | None = None
    ) -> Sequence[UsageRow]:
        """Those sought, in the order of `PageKey`, after that one."""
        ...

    async def forget(self, *, before: str) -> int:
        """Drop the days before that one; how many lines."""
        ...


def page_key(row: UsageRow) -> PageKey:
    """Where the row stands."""
    key = row.key
    return PageKey(key.period, row.tenant, key.tenant_id, key.provider, key.model)
