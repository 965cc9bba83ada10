"""Tenants whose way out is watched: the real parts over a runtime, without the rest of a control plane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from innkeeper.core.asked_for import AskedFor
from innkeeper.core.directory import Directory
from innkeeper.core.events import Bus, TenantChanged, TenantGone
from innkeeper.core.hosting import Hosting
from innkeeper.core.ports import Runtime, Store
from innkeeper.core.tenant import Tenant
from innkeeper.core.uses import Egress, EgressMode, Uses
from innkeeper.loops.supervise import Supervisor
from innkeeper.resolver.answering import NameServer, Outcome
from innkeeper.resolver.listening import NameListeners
from innkeeper.resolver.upstream import Upstream
from innkeeper.resolver.watch import Watch
from innkeeper.runtimes.firewall import is_closed
from innkeeper.store.memory import MemoryStore
from tests.store.examples import tenant as plain_tenant
from tests.support.house import TurnedClock
from tests.support.links import LINKS


class Watched:
    """The parts, and hands to change tenants as the API does."""

    def __init__(self, runtime: Runtime, upstream: Upstream, *, port: int, store: Store | None = None) -> None:
        self.store = store or MemoryStore(links=LINKS)
        self.bus = Bus()
        self.runtime = runtime
        self.outcomes: list[Outcome] = []
        self.directory = Directory(store=self.store, bus=self.bus, hosting=Hosting(domain="localhost", port=8080))
        self.asked_for = AskedFor(store=self.store, bus=self.bus, clock=TurnedClock())
        self.upstream = upstream
        self.port = port

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Watched]:
        """A control plane's part, from its start to its end."""
        await self.directory.load()
        self.server = NameServer(
            find=self._tenant_at,
            upstream=self.upstream,
            ways_out=self.runtime.ways_out,
            is_closed=is_closed,
            note=self.asked_for.note,
            count=self.outcomes.append,
        )
        self.listeners = NameListeners(self.server.answer, port=self.port)
        self.watch = Watch(directory=self.directory, runtime=self.runtime, listeners=self.listeners, bus=self.bus)
        supervisor = Supervisor()
        self.watch.start(supervisor)
        async with AsyncExitStack() as self._loops:
            await self._loops.enter_async_context(supervisor.running())
            self._loops.push_async_callback(self.listeners.close)
            self._loops.push_async_callback(self.runtime.ways_out.let_go)
            yield self

    async def stop(self) -> None:
        """The control plane ends; the rest stays as it is."""
        await self._loops.aclose()

    def _tenant_at(self, address: str) -> Tenant | None:
        return self.watch.tenant_at(address)

    async def put(self, name: str, mode: EgressMode, *names: str, slot: int = 0) -> Tenant:
        """A tenant with this mode and list, made or changed; it holds when this returns."""
        now = await self.put_down(name, mode, *names, slot=slot)
        self.bus.publish(TenantChanged(tenant=name, now=now))
        await self.settled()
        return now

    async def put_down(self, name: str, mode: EgressMode, *names: str, slot: int = 0) -> Tenant:
        """The same, of which nobody is told."""
        uses = Uses(egress=Egress(mode=mode, names=names))
        async with self.store.begin() as tx:
            before = await tx.tenant(name)
            if before is None:
                now = plain_tenant(name, slot)
                now = replace(now, spec=replace(now.spec, uses=uses))
                await tx.add_tenant(now)
            else:
                now = replace(before, spec=replace(before.spec, uses=uses), revision=before.revision + 1)
                await tx.change_tenant(now, from_revision=before.revision)
        return now

    async def drop(self, name: str) -> None:
        """The tenant is gone."""
        async with self.store.begin() as tx:
            there = await tx.tenant(name)
            assert there
            await tx.drop_tenant(name, there.id)
        self.bus.publish(TenantGone(tenant=name, tenant_id=there.id))
        await self.settled()

    async def settled(self) -> None:
        """Wait until what changed has been seen to."""
        async with asyncio.timeout(20):
            while not self.watch.idle:
                await asyncio.sleep(0.01)

    async def asked(self, name: str) -> Sequence[tuple[str, int, int]]:
        """What a tenant asked for: name, how often, how often refused."""
        return [(each.name, each.asked, each.refused) for each in (await self.asked_for.of(name))[1]]
