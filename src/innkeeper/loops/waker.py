"""The quick way up for those who are only frozen: thawed while it is written down that they should be.

Whoever is frozen wakes in the ten milliseconds that the Engine takes; waiting for the reconciler's look before, and for
the store before that, would double it.
"""

from __future__ import annotations

import asyncio

import structlog

from innkeeper.core.boarding import NotYet
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.instance import State
from innkeeper.core.reconcile import Held, Reconciler
from innkeeper.core.rungs import Rungs
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.loops.queue import KeyedQueue

log = structlog.get_logger("innkeeper.waker")


class Waker:
    """Wakes on behalf of requests; whatever it doesn't get done the reconciler does."""

    def __init__(self, *, directory: Directory, rungs: Rungs, reconciler: Reconciler, queue: KeyedQueue) -> None:
        self._directory = directory
        self._rungs = rungs
        self._reconciler = reconciler
        self._queue = queue

    async def rouse(self, name: str) -> None:
        """Write down that the tenant should be up, and thaw it meanwhile where that is all it needs."""
        tenant = self._directory.tenant(name)
        if tenant is None or not _is_only_frozen(tenant) or not self._queue.take(name):
            await self._rungs.rouse(name)
            return
        writing = asyncio.get_running_loop().create_task(self._write(name), name=f"rouse:{name}")
        try:
            await self._reconciler.thaw(tenant, writing)
        except (Problem, NotYet, Held) as why:
            log.debug("not thawed at once", tenant=name, why=str(why))
        finally:
            self._queue.done(name)
            self._queue.add(name)  # a whole look follows in any case, and finds what isn't as it should be
            await writing

    async def _write(self, name: str) -> Tenant | None:
        await self._rungs.rouse(name)
        return self._directory.tenant(name)


def _is_only_frozen(tenant: Tenant) -> bool:
    """Whether a thaw is likely all that it takes."""
    seen = tenant.seen
    return tenant.wanted is Wanted.AUTO and seen.state is State.PAUSED and seen.ready and seen.instance_id is not None
