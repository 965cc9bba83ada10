"""How many questions are being answered: so many of one tenant, so many in all, and none waits for another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

EACH, IN_ALL = 64, 1024


class Turns:
    """Counts those under way."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextmanager
    def of(self, tenant_id: str) -> Iterator[bool]:
        """Whether there is a turn for the tenant while the block runs; whoever gets none asks again by itself."""
        if self._taken[tenant_id] >= EACH or self._taken.total() >= IN_ALL:
            yield False
            return
        self._taken[tenant_id] += 1
        try:
            yield True
        finally:
            self._taken[tenant_id] -= 1
            if not self._taken[tenant_id]:
                del self._taken[tenant_id]
