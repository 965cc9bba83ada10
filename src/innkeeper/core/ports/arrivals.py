"""What the core needs to take units in from elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from innkeeper.core.adoption import Adoption, Asked

OnBytes = Callable[[int, int], object]
"""Told how many bytes of how many are written; from any thread."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A unit that lies ready beside the tenants' folders, on the disk to its last byte."""

    adoption: Adoption
    name: str
    """What it is called there."""
    files: int
    bytes: int
    changed: Sequence[str] = ()
    """Files that changed while they were read."""


class Arrivals(Protocol):
    """Sources and what was taken from them. Nothing of a source is ever changed.

    Raises SourceMissing, SourceForbidden, ArchiveDamaged, ArchiveRefused, ImportTooLarge, UnitFault, DiskFull.
    """

    async def look(self, asked: Asked, upload: str | None) -> Sequence[Adoption]:
        """The units of the source as they would be taken; nothing is written."""
        ...

    async def stage(self, operation_id: str, asked: Asked, key: str, upload: str | None, tell: OnBytes) -> Staged:
        """Copy one unit to where it can be moved from in one rename, after removing what an earlier attempt left.

        Raises ImportRefused where something stands in the way. Cancelled, it has stopped writing when it returns.
        """
        ...

    async def settle(self, operation_id: str, staged: str, tenant: str) -> None:
        """Move it into the tenant's place; fine when that was done before. UnitExists: never over another folder;
        StagedLost where it is neither here nor there."""
        ...

    async def drop(self, operation_id: str, upload: str | None) -> None:
        """Remove what is left of it; repeatable."""
        ...

    async def receive(self, pieces: AsyncIterable[bytes]) -> str:
        """Take in what is sent, on the disk when this returns; what it is called."""
        ...

    async def tidy(self, kept: Collection[str]) -> None:
        """Remove whatever isn't one of these operations' or uploads."""
        ...
