"""What agents have asked name servers for: noted at once, written down in batches, shown and forgotten on request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from innkeeper.core.access import Actor
from innkeeper.core.audit import entry
from innkeeper.core.egress import NAMES_KEPT, AskedName, joined
from innkeeper.core.errors import Problem, UnknownTenant
from innkeeper.core.events import Bus, EgressRefused
from innkeeper.core.ports import Clock, Store
from innkeeper.core.tenant import Tenant

BATCH_EVERY_S = 2.0
PENDING_MAX = 20_000
"""So many names may wait to be written, of all tenants; beyond that new ones are lost while the store is away."""
TOLD_MAX = 20
"""So many of a batch's newly refused names are events of their own; `innkeeper egress show` has all."""


class AskedFor:
    """The names that tenants ask for."""

    def __init__(self, *, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._pending: dict[tuple[str, str], dict[str, AskedName]] = {}
        self._waiting = 0
        self._noted = asyncio.Event()

    def note(self, tenant: Tenant, name: str, refused: bool) -> None:
        """A tenant asked for a name; never waits."""
        its = self._pending.setdefault((tenant.name, tenant.id), {})
        before = its.get(name)
        if before is None:
            if len(its) >= NAMES_KEPT or self._waiting >= PENDING_MAX:
                return
            self._waiting += 1
        now = self._clock.now()
        its[name] = joined(before, AskedName(name=name, first_seen=now, last_seen=now, asked=1, refused=int(refused)))
        self._noted.set()

    async def write(self) -> None:
        """Write down what was noted; it goes on waiting where the store doesn't answer."""
        batch, self._pending, self._waiting = self._pending, {}, 0
        if not batch:
            return
        try:
            async with self._store.begin() as tx:
                refused = [
                    (tenant, name)
                    for (tenant, tenant_id), its in batch.items()
                    for name in await tx.asked_names.add(tenant, tenant_id, list(its.values()), keep=NAMES_KEPT)
                ]
        except BaseException:
            self._put_back(batch)
            raise
        for tenant, name in refused[:TOLD_MAX]:
            self._bus.publish(EgressRefused(tenant=tenant, name=name))

    async def keep_writing(self) -> None:
        """For ever, a little after the first of each batch."""
        while True:
            await self._noted.wait()
            await asyncio.sleep(BATCH_EVERY_S)
            self._noted.clear()
            try:
                await self.write()
            except Problem:  # the next round is the retry
                self._noted.set()

    async def last(self) -> None:
        """Write down what is left, if the store still answers."""
        with suppress(Problem):
            await self.write()

    def _put_back(self, batch: dict[tuple[str, str], dict[str, AskedName]]) -> None:
        for key, its in batch.items():
            newer = self._pending.setdefault(key, {})
            for name, asked in its.items():
                newer[name] = joined(asked, newer[name]) if name in newer else asked
        self._waiting = sum(map(len, self._pending.values()))

    async def of(self, name: str) -> tuple[Tenant, Sequence[AskedName]]:
        """A tenant and the names that it asked for, by name."""
        await self.last()
        async with self._store.look() as tx:
            tenant = await tx.tenant(name)
            if tenant is None:
                raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
            return tenant, await tx.asked_names.of(name)

    async def forget(self, name: str, *, actor: Actor) -> int:
        """Forget what it asked for; how many names there were."""
        await self.last()
        async with self._store.begin() as tx:
            tenant = await tx.tenant(name)
            if tenant is None:
                raise UnknownTenant(f"There is no tenant {name[:60]!r}.")
            gone = await tx.asked_names.forget(name)
            await tx.audit(entry(actor, "egress.forget", at=self._clock.now(), of=tenant, detail={"names": gone}))
        return gone
