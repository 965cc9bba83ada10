"""What the core needs of a store for erasures: their receipts, which outlive everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from innkeeper.core.receipts import ErasureReceipt

Issue = Callable[[Mapping[str, int], str], ErasureReceipt]
"""Makes the receipt of an erasure, from how many rows of each kind were dropped and the trail's head before its last
line on the tenant: `NUMBER:LINK`."""


class Erasures(Protocol):
    """Erasures and their receipts, within a transaction. Nothing ever drops one."""

    async def of(self, tenant_id: str) -> ErasureReceipt | None:
        """That of a tenant, from its begin on."""
        ...

    async def get(self, receipt_id: str) -> ErasureReceipt | None: ...

    async def put(self, receipt: ErasureReceipt) -> None:
        """Write it down, in place of what there is by its id."""
        ...

    async def page(
        self, *, tenant: str | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[ErasureReceipt]:
        """Those that were issued, by id: the oldest first."""
        ...

    async def due(self, now: datetime) -> Sequence[ErasureReceipt]:
        """Those issued of which something is still to be erased, and whose turn it is."""
        ...
