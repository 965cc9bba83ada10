"""Carries works out: a few at a time, one for each name, and again after whatever ended the one who was at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import structlog

from innkeeper.core.boarding import NotYet
from innkeeper.core.errors import Problem, StaleLease, Superseded
from innkeeper.core.events import Bus, Event, OperationChanged
from innkeeper.core.keeping import kept
from innkeeper.core.operations import WORKED, Operation, Status, Trouble, waits, work_ended
from innkeeper.core.ports import LEASE_FOR, Clock, Lease, Store
from innkeeper.core.tenant import Wanted
from innkeeper.core.works import BACKGROUND, RESULT, Tell, Work
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.works")

LOOK_EVERY_S = 5.0
"""Others may have begun some, or left some."""
FLUSH_EVERY_S = 1.0
STUMBLED_AGAIN_S = 10.0
"""After what isn't the work's own failure: the store was away, say."""


class WorkLoops:
    """Looks for works that are open, and carries them out."""

    def __init__(
        self, works: Iterable[Work], *, store: Store, bus: Bus, clock: Clock, holder: str, at_once: int = 2
    ) -> None:
        self._works = {work.kind: work for work in works}
        self._store = store
        self._bus = bus
        self._clock = clock
        self._holder = holder
        self._at_once = at_once
        self._running: dict[str, tuple[Operation, asyncio.Task[None]]] = {}
        self._not_before: dict[str, float] = {}
        """By operation, on the loop's clock."""
        self._look_now = asyncio.Event()
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("works", self._run)

    def add(self, work: Work) -> None:
        """Carry out this kind, too."""
        self._works[work.kind] = work

    async def quiet(self, name: str) -> bool:
        """End what is under way on that name, for its data is to go; False while another control plane is at it."""
        if (running := self._running.get(name)) is not None:
            running[1].cancel()
            await asyncio.wait([running[1]])
        lease = await self._store.claim_work(name, holder=self._holder, for_s=LEASE_FOR.total_seconds())
        if lease is None:
            return False
        await self._store.release(lease)
        return True

    def _follow(self, event: Event) -> None:
        match event:
            case OperationChanged(operation=Operation(status=Status.QUEUED, kind=kind)) if kind in WORKED:
                self._look_now.set()
            case _:
                pass

    async def _run(self) -> None:
        try:
            while True:
                self._look_now.clear()
                try:
                    await self.look()
                except Problem as problem:
                    log.warning("works can't be looked for", code=problem.code, problem=problem.message)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._look_now.wait()
        finally:
            tasks = [task for _, task in self._running.values()]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def look(self) -> None:
        """Begin every work that is open, is nobody's and has room."""
        async with self._store.look() as tx:
            found = [each for each in await tx.operations(open_only=True) if each.kind in self._works]
        still = {operation.id for operation in found}
        self._not_before = {each: at for each, at in self._not_before.items() if each in still}
        for operation in found:
            if operation.tenant in self._running or not self._has_room(operation):
                continue
            if _time() < self._not_before.get(operation.id, 0.0):
                continue
            lease = await self._store.claim_work(operation.tenant, holder=self._holder, for_s=LEASE_FOR.total_seconds())
            if lease is not None:
                task = asyncio.create_task(self._carry_out(operation, lease), name=f"work:{operation.id}")
                self._running[operation.tenant] = (operation, task)

    def _has_room(self, operation: Operation) -> bool:
        behind = operation.kind in BACKGROUND
        alike = sum((other.kind in BACKGROUND) is behind for other, _ in self._running.values())
        return alike < self._at_once

    async def _carry_out(self, operation: Operation, lease: Lease) -> None:
        try:
            async with kept(lease, self._store):
                await self._to_its_end(operation, lease)
        except StaleLease:
            log.warning("work lost", operation=operation.id, tenant=operation.tenant)
        except Problem as problem:  # it couldn't be written down how it ended: it is done again
            log.warning("work stumbled", operation=operation.id, code=problem.code, problem=problem.message)
            self._not_before[operation.id] = _time() + STUMBLED_AGAIN_S
        except Exception:  # nor that: a fault of ours, which must not be made over and over without a pause
            log.exception("work can't be ended", operation=operation.id, kind=operation.kind, tenant=operation.tenant)
            self._not_before[operation.id] = _time() + STUMBLED_AGAIN_S
        finally:
            self._running.pop(operation.tenant, None)
            with suppress(Problem):
                await self._store.release(lease)
            self._look_now.set()

    async def _to_its_end(self, operation: Operation, lease: Lease) -> None:
        async with self._store.look() as tx:
            current = await tx.operation(operation.id)
            tenant = await tx.tenant(operation.tenant)
        if current is None or current.status.ended:
            return
        tell = Tell(current, lease=lease, store=self._store, bus=self._bus, clock=self._clock)
        if tenant is not None and (tenant.id != current.tenant_id or tenant.wanted is Wanted.GONE):
            gone = Trouble.of(Superseded(f"{current.tenant} is being deleted."))
            await self._write(lease, work_ended(current, self._clock.now(), gone))
            return
        try:
            async with _flushed(tell):
                result = await self._works[current.kind].carry_out(current, tell)
        except NotYet as wait:
            self._not_before[current.id] = _time() + wait.again_s
            await self._write(lease, waits(tell.operation, wait.why, self._clock.now()))
        except StaleLease:
            raise
        except Problem as problem:
            log.warning("work failed", operation=current.id, kind=current.kind, tenant=current.tenant,
                        code=problem.code, problem=problem.message)  # fmt: skip
            await self._write(lease, work_ended(tell.operation, self._clock.now(), Trouble.of(problem)))
        except Exception as error:
            # A fault of ours: to do the same again would end the same, and leave it open for ever.
            log.exception("work fell", operation=current.id, kind=current.kind, tenant=current.tenant)
            fault = Trouble(code=Problem.code, message=f"It ended unexpectedly: {type(error).__name__}. See the log.")
            await self._write(lease, work_ended(tell.operation, self._clock.now(), fault))
        else:
            await tell.keep(**{RESULT: result})
            await self._write(lease, work_ended(tell.operation, self._clock.now()))

    async def _write(self, lease: Lease, operation: Operation) -> None:
        await self._store.record_work(lease, operation)
        self._bus.publish(OperationChanged(tenant=operation.tenant, operation=operation))


def _time() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def _flushed(tell: Tell) -> AsyncIterator[None]:
    """How far it is, is written down about once a second."""

    async def flush() -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            with suppress(Problem):  # the lease's keeper notices, too
                await tell.flush()

    flushing = asyncio.create_task(flush(), name=f"flush:{tell.operation.id}")
    try:
        yield
    finally:
        flushing.cancel()
        await asyncio.wait([flushing])
