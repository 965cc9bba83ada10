"""The loops around the reconciler: workers, the tick that misses nothing, and the runtime's hints that hurry it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime

import structlog

from innkeeper.core.boarding import NotYet
from innkeeper.core.directory import Directory
from innkeeper.core.errors import InUse, NoCapacity, Problem, StaleLease
from innkeeper.core.events import Bus, Event, TenantChanged
from innkeeper.core.instance import Instance, absent
from innkeeper.core.plan import observe, settled
from innkeeper.core.ports import Clock, Runtime, Store
from innkeeper.core.reconcile import Held, Reconciler
from innkeeper.core.tenant import Tenant
from innkeeper.loops.queue import KeyedQueue
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.reconciler")

HELD_RETRY_S = 5.0
"""How soon to look again at a tenant that another control plane works on."""

REFRESHED_AT_ONCE = 200
COMPARED_AT_ONCE = 500
"""Tenants that a tick compares before others get their turn: some 2 ms."""


class ReconcilerLoops:
    """Feeds tenants to the reconciler."""

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        queue: KeyedQueue,
        directory: Directory,
        store: Store,
        runtime: Runtime,
        bus: Bus,
        clock: Clock,
        tick_s: float,
        workers: int,
        on_lease_lost: Callable[[], object] = lambda: None,
        let_lie: Callable[[str], Awaitable[bool]],
        keep_up: Callable[[str], Awaitable[bool]],
        on_instances: Callable[[Iterable[Instance]], object] = lambda instances: None,
    ) -> None:
        self._reconciler = reconciler
        self._queue = queue
        self._directory = directory
        self._store = store
        self._runtime = runtime
        self._clock = clock
        self._tick_s = tick_s
        self._workers = workers
        self._on_lease_lost = on_lease_lost
        self._let_lie = let_lie
        self._keep_up = keep_up
        self._on_instances = on_instances
        self._orphans: frozenset[str] = frozenset()
        self._tick_now = asyncio.Event()
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loops to the supervisor."""
        for number in range(self._workers):
            supervisor.add(f"reconcile-{number}", self._work)
        supervisor.add("tick", self._tick_forever)
        supervisor.add("runtime-events", self._listen)

    def _follow(self, event: Event) -> None:
        if isinstance(event, TenantChanged):
            self._queue.add(event.tenant)

    async def _work(self) -> None:
        while True:
            name = await self._queue.get()
            await self._work_on(name)

    async def _work_on(self, name: str) -> None:
        try:
            await self._reconciler.work(name, self._queue.nap(name), failures=self._queue.failures(name))
        except Held:
            self._queue.put_back(name, HELD_RETRY_S)
        except NotYet as wait:
            self._queue.put_back(name, wait.again_s)
        except InUse as problem:
            log.info("in use", tenant=name, problem=problem.message)
            await self._unless_settled(name, self._keep_up)
        except NoCapacity as problem:
            log.warning("no capacity", tenant=name, problem=problem.message)
            await self._unless_settled(name, self._let_lie)
        except StaleLease:
            log.warning("lease lost", tenant=name)
            self._on_lease_lost()
            self._queue.put_back(name, HELD_RETRY_S)
        except Problem as problem:
            delay_s = self._queue.failed(name)
            log.warning("step failed", tenant=name, code=problem.code, problem=problem.message, again_in_s=delay_s)
        except BaseException:
            self._queue.failed(name)
            raise
        else:
            self._queue.done(name)

    async def _unless_settled(self, name: str, settle: Callable[[str], Awaitable[bool]]) -> None:
        """Where another wish settles the matter, it is settled; else it is tried again, later and later."""
        try:
            settled = await settle(name)
        except Problem as problem:
            log.warning("not settled", tenant=name, code=problem.code, problem=problem.message)
            settled = False
        if settled:
            self._queue.done(name)
        else:
            self._queue.failed(name)

    # --- the tick -----------------------------------------------------------------------------------------------------

    async def _tick_forever(self) -> None:
        while True:
            try:
                await self.tick()
            except Problem as problem:
                log.warning("tick failed", code=problem.code, problem=problem.message)
            self._tick_now.clear()
            try:
                async with asyncio.timeout(self._tick_s):
                    await self._tick_now.wait()
            except TimeoutError:
                continue

    async def tick(self) -> int:
        """Compare every tenant with its instance and queue those that aren't as they should be; how many."""
        instances = {instance.tenant: instance for instance in await self._runtime.all()}
        self._on_instances(instances.values())
        off = await self._unsettled(instances)
        # Events can cross, and a change by another control plane comes without one: what is known here may be old.
        await self._directory.refresh(off[:REFRESHED_AT_ONCE])
        for name in off:
            self._queue.add(name)
        await self._end_operations()
        await self._sweep_orphans(instances)
        return len(off)

    async def _unsettled(self, instances: Mapping[str, Instance]) -> list[str]:
        """A part at a time, so that the gate gets its turn in between."""
        tenants, now = tuple(self._directory), self._clock.now()
        off = []
        for first in range(0, len(tenants), COMPARED_AT_ONCE):
            if first:
                await asyncio.sleep(0)
            off += unsettled(tenants[first : first + COMPARED_AT_ONCE], instances, now)
        return off

    async def _end_operations(self) -> None:
        """Look at whoever has one open: a process that dies right after it took an order leaves one that may need no
        step at all, and nothing else would ever come back to say so."""
        async with self._store.look() as tx:
            waiting = {operation.tenant for operation in await tx.operations(open_only=True)}
        for name in waiting:
            self._queue.add_later(name, 0)

    async def _sweep_orphans(self, instances: Mapping[str, Instance]) -> None:
        """Remove instances of tenants that were deleted; report, and leave alone, those of tenants never heard of."""
        orphans = {
            instance.id: instance
            for name, instance in instances.items()
            if instance.id is not None and self._directory.tenant(name) is None
        }
        twice = [orphan for orphan_id, orphan in orphans.items() if orphan_id in self._orphans]
        self._orphans = frozenset(orphans)
        for orphan in twice:  # seen at two ticks: not one whose rows were just being written or dropped
            async with self._store.look() as tx:
                if await tx.tenant(orphan.tenant) is not None:
                    continue
                deleted = orphan.tenant_id is not None and await tx.was_deleted(orphan.tenant_id)
            if deleted:
                await self._runtime.remove(orphan)
                log.warning("orphan removed", tenant=orphan.tenant, tenant_id=orphan.tenant_id)
            else:
                log.error("instance of an unknown tenant", tenant=orphan.tenant, tenant_id=orphan.tenant_id)

    async def _listen(self) -> None:
        async for event in self._runtime.events():
            if event.tenant:
                if self._directory.tenant(event.tenant) is not None:
                    self._queue.hint(event.tenant)
            else:
                self._tick_now.set()


def unsettled(tenants: Iterable[Tenant], instances: Mapping[str, Instance], now: datetime) -> list[str]:
    """The tenants that aren't as they should be, or not as they were last seen. Pure; 10,000 cost some 50 ms."""
    off = []
    for tenant in tenants:
        instance = instances.get(tenant.name) or absent(tenant.name)
        if observe(tenant.seen, instance, now) != tenant.seen or not settled(tenant, instance):
            off.append(tenant.name)
    return off
