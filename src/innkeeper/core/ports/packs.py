"""What the core needs to keep packs and to deliver them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from innkeeper.core.delivery import Delivery
from innkeeper.core.goods import Goods
from innkeeper.core.merging import Item
from innkeeper.core.packs import Pack


class TakenPack(Protocol):
    """A pack that was taken in: checked and whole on the disk, but not yet among the others."""

    pack: Pack

    async def settle(self) -> None:
        """Put it among them, in place of a version that was never recorded, or is the same, or damaged; in a moment."""
        ...


class PackLibrary(Protocol):
    """The packs' files on this host: each version is kept once, and never changes."""

    def taken(
        self, tar: AsyncIterator[bytes], *, known: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[TakenPack]:
        """A tarball, plain or packed with gzip; forgotten at the end unless it was settled.

        `known` is the name and version of one whose manifest needn't say them, and may be missing. Raises InvalidPack
        for what isn't a pack, TooLarge, DiskFull.
        """
        ...

    async def pack(self, name: str, version: str) -> Pack:
        """One that was kept; raises PackMissing, PackDamaged."""
        ...

    async def drop(self, name: str, version: str) -> None:
        """Remove it; nothing happens where it isn't there."""
        ...


class ImageFolders(Protocol):
    """Reads a folder out of an image, of which nothing is run."""

    def folder(self, image: str, path: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """It as a tarball; raises ImageMissing, NotFound where the image has no such folder, RuntimeUnavailable."""
        ...


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What a delivery did."""

    items: Sequence[Item]
    besides: Mapping[str, str | None] = field(default_factory=dict)
    """Where new versions lie beside the tenant's own, by the path of those; None: there was no place for it."""
    saved: Mapping[str, str] = field(default_factory=dict)
    """Where what was overwritten lies now, by path."""


class Workspaces(Protocol):
    """Delivers packs into tenants' data, file by file, whether they run or not; UnitFault, DiskFull, PackDamaged.

    Nothing is written through a link. A file is replaced in one rename, by one that lies whole on the disk before the
    first is touched; what the tenant changes meanwhile stays. A delivery that was cut short is simply made again.
    """

    async def delivery(self, tenant: str) -> Delivery:
        """What it was last delivered, without the conflicts that were settled since; raises HydrationUnreadable."""
        ...

    async def is_blank(self, tenant: str, workspace: str) -> bool:
        """Whether it was never delivered anything and has nothing in that folder."""
        ...

    async def plan(self, tenant: str, goods: Goods, *, force: bool = False) -> Sequence[Item]:
        """What a delivery would do now."""
        ...

    async def deliver(self, tenant: str, goods: Goods, *, at: datetime, force: bool = False) -> Delivered:
        """Do it. Two at once wait for each other, also in two processes."""
        ...
