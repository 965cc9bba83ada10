"""The core's `PackRows` on plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence

from innkeeper.core.packs import PackRelease
from innkeeper.store import rules
from innkeeper.store.memory_tables import Tables


class MemoryPacks:
    """The packs' rows."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def all(self, name: str | None = None) -> Sequence[PackRelease]:
        return [each for _, each in sorted(self._tables.packs.items()) if name in (None, each.name)]

    async def add(self, release: PackRelease) -> None:
        key = release.name, release.version
        if key in self._tables.packs:
            raise rules.pack_taken(*key)
        self._tables.packs[key] = release

    async def drop(self, name: str, version: str) -> bool:
        return self._tables.packs.pop((name, version), None) is not None
