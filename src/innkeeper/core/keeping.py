"""Keeping a tenant's lease while one works on it, and stopping at once when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from innkeeper.core.errors import Problem, StaleLease
from innkeeper.core.ports import LEASE_FOR, Lease, Store


@asynccontextmanager
async def kept(lease: Lease, store: Store, *, for_s: float = LEASE_FOR.total_seconds()) -> AsyncIterator[None]:
    """Renew the lease while the block runs, for so long each time; when it is lost, the block is cancelled and
    StaleLease raised."""
    block = asyncio.current_task()
    lost: list[BaseException] = []

    async def renew() -> None:
        while True:
            await asyncio.sleep(for_s / 3)
            try:
                await store.renew(lease, for_s=for_s)
            except Problem as problem:
                lost.append(problem)
                if block is not None:
                    block.cancel()
                return

    renewing = asyncio.create_task(renew(), name=f"lease:{lease.tenant}")
    try:
        yield
    except asyncio.CancelledError:
        if lost and block is not None and block.uncancel() == 0:
            raise StaleLease(f"Another control plane took {lease.tenant} over.") from lost[0]
        raise
    finally:
        renewing.cancel()
