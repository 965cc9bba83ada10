"""Places for work that is done side by side: so many in all, and no tenant may have most of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

SHARE = 8
"""A tenant has at most one place in so many."""


class Places:
    """Hands out places in the order in which they are asked for."""

    def __init__(self, number: int) -> None:
        self._all = asyncio.Semaphore(number)
        self._each = max(1, number // SHARE)
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._taken: Counter[str] = Counter()

    @property
    def tenants(self) -> Collection[str]:
        """Those who have one."""
        return self._taken.keys()

    @asynccontextmanager
    async def of(self, tenant: str) -> AsyncIterator[None]:
        """A place for the tenant while the block runs; whoever waits for one of its own keeps nobody else waiting."""
        own = self._own.setdefault(tenant, asyncio.Semaphore(self._each))
        async with own, self._all:
            self._taken[tenant] += 1
            try:
                yield
            finally:
                self._taken[tenant] -= 1
                if not self._taken[tenant]:
                    del self._taken[tenant]
