"""Where something of a tenant may lie beside its folder and the database: each such place is known to an erasure."""

from __future__ import annotations

from typing import Protocol

from innkeeper.core.ports.host import Extent


class Traces(Protocol):
    """One place: drills, archives that are being made or taken in, what is staged for a snapshot."""

    @property
    def place(self) -> str:
        """What receipts call it."""
        ...

    async def extent(self, tenant: str, tenant_id: str) -> Extent | None:
        """How much of that tenant lies there, whose name another may have by now; None: nothing does. UnitFault."""
        ...

    async def erase(self, tenant: str, tenant_id: str) -> None:
        """Remove it; repeatable. UnitFault where something can't be removed."""
        ...
