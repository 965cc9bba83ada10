"""What the core needs of a store to know its packs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from innkeeper.core.packs import PackRelease


class PackRows(Protocol):
    """The packs' rows, within one transaction."""

    async def all(self, name: str | None = None) -> Sequence[PackRelease]:
        """Every version, or those of one pack, by name and version."""
        ...

    async def add(self, release: PackRelease) -> None:
        """Raises Conflict where there is that version already."""
        ...

    async def drop(self, name: str, version: str) -> bool:
        """Whether it was there."""
        ...
