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

    async def erase(self, tenant: str, tenant_id: str) -> Extent | None:
        """Remove what lies there of that tenant, whose name another may have by now; None: nothing did. Repeatable.
        UnitFault where something can't be removed."""
        ...
