"""Snapshots that are only remembered, at targets that can be away, hang, or keep something back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from innkeeper.core.ports.snapshots import Kept, Repository
from innkeeper.core.snapshot_errors import TargetRefused, TargetUnreachable


class MemorySnapshots:
    """Enough of a `SnapshotStore` to be erased."""

    def __init__(self, keys: Any, *targets: str) -> None:
        self._keys = keys
        self.targets: Sequence[str] = targets
        self.held: dict[tuple[str, str], list[str]] = {}
        self.away: set[str] = set()
        self.hanging: set[str] = set()
        self.stubborn: set[str] = set()

    def add(self, target: str, owner: str, *snapshots: str) -> None:
        """There are these."""
        self.held.setdefault((target, owner), []).extend(snapshots)

    async def listing(self, repository: Repository) -> Sequence[Kept]:
        await self._reach(repository.target)
        if repository.owner in self._keys.destroyed:
            raise TargetRefused("The key is destroyed.")
        found = self.held.get((repository.target, repository.owner), [])
        at = datetime(2026, 11, 20, tzinfo=UTC)
        return [Kept(id=each, at=at, name="", tags=frozenset(), folders=(), original=None) for each in found]

    async def exists(self, repository: Repository) -> bool:
        await self._reach(repository.target)
        return (repository.target, repository.owner) in self.held

    async def lies(self, repository: Repository) -> bool:
        return await self.exists(repository)

    async def destroy(self, repository: Repository) -> Sequence[str]:
        await self._reach(repository.target)
        if repository.target in self.stubborn:
            return ["data/ab"]
        self.held.pop((repository.target, repository.owner), None)
        return []

    async def _reach(self, target: str) -> None:
        if target in self.hanging:
            await asyncio.Event().wait()
        if target in self.away:
            raise TargetUnreachable(f"The target {target} doesn't answer.")
