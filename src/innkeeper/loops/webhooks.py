"""Reads in the agents' own configs where they take webhooks, and writes it down for the gate to go by.

A user may set a channel up at any time, and the agent tells the sender at once. So whoever is awake is looked at as
soon as it is ready, and then again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from innkeeper.core.activate import is_open
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, StateChanged
from innkeeper.core.openings import InboxPath
from innkeeper.core.ports import Store
from innkeeper.core.tenant import Tenant
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.webhooks")

LEASE_S = 10.0
AGAIN_S = 0.5
"""How soon to look again at a tenant that was being worked on, as one that has just become ready still is."""


class Webhooks:
    """Keeps `Seen.webhooks` true."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        webhooks: Callable[[Tenant], Awaitable[tuple[InboxPath, ...]]],
        bus: Bus,
        holder: str,
        look_every_s: float,
    ) -> None:
        self._store = store
        self._directory = directory
        self._webhooks = webhooks
        self._bus = bus
        self._holder = holder
        self._look_every_s = look_every_s
        self._just_ready = asyncio.Event()
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("webhooks", self._run)

    def _follow(self, event: Event) -> None:
        if isinstance(event, StateChanged) and is_open(event.now) and event.before is not event.now.seen.state:
            self._just_ready.set()

    async def _run(self) -> None:
        while True:
            self._just_ready.clear()
            looked_at = [await self._tolerantly(tenant) for tenant in self._directory if is_open(tenant)]
            try:
                async with asyncio.timeout(self._look_every_s if all(looked_at) else AGAIN_S):
                    await self._just_ready.wait()
            except TimeoutError:
                continue

    async def _tolerantly(self, tenant: Tenant) -> bool:
        try:
            return await self.look(tenant)
        except Problem as problem:
            log.info("not looked at", tenant=tenant.name, code=problem.code, problem=problem.message)
            return True

    async def look(self, tenant: Tenant) -> bool:
        """Read its config, and write down what is new; False: it couldn't be, for somebody works on the tenant."""
        found = await self._webhooks(tenant)
        if found == tenant.seen.webhooks:
            return True
        lease = await self._store.claim(tenant.name, holder=self._holder, for_s=LEASE_S)
        if lease is None:
            return False
        try:
            async with self._store.look() as tx:
                now = await tx.tenant(tenant.name)
            if now is None or now.id != tenant.id:
                return True
            changed = replace(now, seen=replace(now.seen, webhooks=found))
            await self._store.record(lease, changed.seen)
        finally:
            await self._store.release(lease)
        self._bus.publish(StateChanged(tenant=tenant.name, now=changed, before=now.seen.state))
        log.info("takes webhooks", tenant=tenant.name, paths=[each.path for each in found])
        return True
