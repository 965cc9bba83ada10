"""The snapshots of a tenant that is being erased, at every target, whether that answers or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from innkeeper.core.errors import Problem
from innkeeper.core.ports.snapshots import Repository, SnapshotStore
from innkeeper.core.redaction import redact

LIST_S = 30.0
"""How long a target may take to say which snapshots it has; their key goes in any case."""
DESTROY_S = 120.0
"""How long one may take to remove them before the rest goes on without it …"""
DESTROY_AGAIN_S = 3600.0
"""… and when it is tried again later, with nobody waiting."""


Recorded = Callable[[str], Awaitable[Mapping[str, int]]]
"""How many snapshots of a tenant there should be, by target, as far as the store knows of them."""
Begin = Callable[[str], Awaitable[None]]
"""Writes down, before anything goes at a target, that it is there: whoever comes after a crash may find it empty."""


class FormerSnapshots:
    """Finds and removes them; raises nothing that a target does."""

    def __init__(self, store: SnapshotStore | None, *, recorded: Recorded | None = None) -> None:
        self._store = store
        self._recorded = recorded

    @property
    def targets(self) -> Sequence[str]:
        """Where there may be any."""
        return () if self._store is None else self._store.targets

    async def listed(self, tenant_id: str) -> Mapping[str, Sequence[str] | None]:
        """Their ids by target, while the tenant's key is there; None where a target doesn't tell."""
        found = await asyncio.gather(*(self._listed_at(target, tenant_id) for target in self.targets))
        return dict(zip(self.targets, found, strict=True))

    async def recorded(self, tenant_id: str) -> Mapping[str, int]:
        """How many there should be, by target."""
        return await self._recorded(tenant_id) if self._recorded else {}

    async def destroyed(self, tenant_id: str, recorded: Mapping[str, int], *, begin: Begin) -> Mapping[str, str | None]:
        """Remove them everywhere; by target, why that came to nothing or to not all."""
        tries = (
            self.destroy_at(each, tenant_id, recorded.get(each, 0), begin=begin, within_s=DESTROY_S)
            for each in self.targets
        )
        return dict(zip(self.targets, await asyncio.gather(*tries), strict=True))

    async def destroy_at(
        self, target: str, tenant_id: str, recorded: int, *, begin: Begin, within_s: float = DESTROY_AGAIN_S
    ) -> str | None:
        """The same at one target. Where there should be some and there is nothing at all, a disk may be missing, which
        is not the same as being erased: `recorded` is how many there should be, 0 once `begin` was told of the target.
        """
        if self._store is None:
            return "No target is set any more"
        repository = Repository(target=target, owner=tenant_id)
        try:
            async with asyncio.timeout(within_s):
                if recorded:
                    if not await self._store.lies(repository):
                        return f"None of the {recorded} snapshots that should be there was found; is its disk there?"
                    await begin(target)
                left = await self._store.destroy(repository)
        except TimeoutError:
            return f"It wasn't done within {within_s:g} s"
        except Problem as problem:
            return redact(problem.message).rstrip(".")
        except OSError as error:
            return f"{error.strerror or type(error).__name__}"
        return f"{len(left)} files couldn't be removed" if left else None

    async def _listed_at(self, target: str, tenant_id: str) -> Sequence[str] | None:
        if self._store is None:
            return None
        try:
            async with asyncio.timeout(LIST_S):
                return [each.id for each in await self._store.listing(Repository(target=target, owner=tenant_id))]
        except (TimeoutError, Problem, OSError):
            return None
