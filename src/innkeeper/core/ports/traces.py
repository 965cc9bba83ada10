"""Where something of a tenant may lie beside its folder and the database: each such place is known to an erasure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from innkeeper.core.ports.host import Extent


@dataclass(frozen=True, kw_only=True)
class Whose:
    """Whose traces are meant, and how they may be named."""

    tenant: str
    """Its name, which another may have by now."""
    tenant_id: str
    operations: frozenset[str] = frozenset()
    """Those on it that are known still: works name what they make by them."""


class Traces(Protocol):
    """One place: archives that are being made or taken in, drills, what is staged for a snapshot."""

    @property
    def place(self) -> str:
        """What receipts call it."""
        ...

    async def extent(self, whose: Whose) -> Extent | None:
        """How much of theirs lies there; None: nothing does. UnitFault."""
        ...

    async def erase(self, whose: Whose) -> None:
        """Remove it; repeatable. UnitFault where something can't be removed."""
        ...
