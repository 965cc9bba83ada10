"""Moves memory to swap: all of those who sleep on that rung, and of those who run what they touched only at boot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import structlog

from innkeeper.core.chronicle import MB, Chronicle
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.events import Bus, Event, MemoryMoved, StateChanged, TenantChanged, TenantGone
from innkeeper.core.holds import Holds
from innkeeper.core.instance import PagedOut, State
from innkeeper.core.ladder import Offer, Rung
from innkeeper.core.ports import Clock, HostMemory, MemoryNow, Runtime
from innkeeper.core.tenant import Tenant
from innkeeper.core.trim import TRIM_EVERY_S, Trimmed, is_due, next_trim, why_not_now
from innkeeper.loops.supervise import Supervisor

log = structlog.get_logger("innkeeper.pager")

LOOK_EVERY_S = 5.0
AT_ONCE = 4
"""Page-outs under way; the host lets half as many work as it has cores."""
AGAIN_AFTER = timedelta(minutes=10)
"""When one that couldn't be paged out, for the swap was full say, is tried again."""
TRIMS_A_ROUND = 4


class Pager:
    """Keeps the ledger of what lies in swap."""

    def __init__(
        self,
        *,
        directory: Directory,
        runtime: Runtime,
        memory: HostMemory,
        chronicle: Chronicle,
        holds: Holds,
        offer: Offer,
        bus: Bus,
        clock: Clock,
        trim_after: timedelta | None,
        on_paged: Callable[[Tenant, PagedOut], object] = lambda tenant, paged: None,
    ) -> None:
        self._directory = directory
        self._runtime = runtime
        self._memory = memory
        self._chronicle = chronicle
        self._holds = holds
        self._offer = offer
        self._bus = bus
        self._clock = clock
        self.trim_after = trim_after
        """So long after it is ready a tenant that runs is trimmed; None: nobody is."""
        self._on_paged = on_paged
        self._paged: dict[str, tuple[PagedOut, datetime]] = {}
        self._trimmed: dict[str, Trimmed] = {}
        self._ready_since: dict[str, datetime] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._before: tuple[MemoryNow, datetime] | None = None
        self._look = asyncio.Event()
        self.paused_why: str | None = None
        """Why nobody is trimmed just now."""
        bus.on_event(self._follow)

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loops to the supervisor."""
        supervisor.add("pager", self._page_forever)
        if self.trim_after is not None:
            supervisor.add("trimmer", self._trim_forever)

    def is_paged(self, name: str) -> bool:
        """Whether a frozen tenant's memory lies in swap."""
        found = self._paged.get(name)
        return found is not None and found[0].skipped is None

    def outcome(self, name: str) -> PagedOut | None:
        """How its last page-out went, for as long as it is frozen."""
        found = self._paged.get(name)
        return found[0] if found else None

    def trimmed(self, name: str) -> Trimmed | None:
        """Its last trim since it was started."""
        return self._trimmed.get(name)

    # --- sleepers -----------------------------------------------------------------------------------------------------

    async def _page_forever(self) -> None:
        while True:
            self._look.clear()
            self.page_out()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._look.wait()

    def page_out(self) -> list[asyncio.Task[None]]:
        """Begin with those who are to lie in swap and don't yet, a few at a time; the page-outs under way."""
        now = self._clock.now()
        for tenant in self._directory:
            if len(self._under_way) >= AT_ONCE:
                break
            if self._is_to_be_paged(tenant, now):
                task = asyncio.get_running_loop().create_task(self._page(tenant), name=f"page-out:{tenant.name}")
                self._under_way[tenant.name] = task
                # Not at the end of its own work: cancelled before it began it has none.
                task.add_done_callback(partial(self._ended, tenant.name))
        return list(self._under_way.values())

    def _is_to_be_paged(self, tenant: Tenant, now: datetime) -> bool:
        if tenant.rung is not Rung.PAGED or tenant.seen.state is not State.PAUSED or tenant.name in self._under_way:
            return False
        done = self._paged.get(tenant.name)
        return done is None or (done[0].skipped is not None and now - done[1] >= AGAIN_AFTER)

    async def _page(self, tenant: Tenant) -> None:
        try:
            paged = await self._runtime.page_out(await self._runtime.get(tenant.name))
        except Problem as problem:
            paged = PagedOut(before_bytes=0, after_bytes=0, swapped_bytes=0, seconds=0, skipped=problem.message)
        now_there = self._directory.tenant(tenant.name)
        if now_there is None or now_there.seen.state is not State.PAUSED:
            return
        self._paged[tenant.name] = paged, self._clock.now()
        if paged.skipped is None:
            await self._note(now_there, Rung.PAGED)
            log.info("paged out", tenant=tenant.name, **_figures(paged))
        else:
            log.info("not paged out", tenant=tenant.name, why=paged.skipped)
        self._bus.publish(MemoryMoved(tenant=tenant.name, trimmed=False, paged=paged))
        self._on_paged(now_there, paged)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        self._under_way.pop(name, None)
        self._look.set()
        if not task.cancelled() and (bug := task.exception()) is not None:
            log.error("page-out failed", tenant=name, exc_info=bug)

    async def _note(self, tenant: Tenant, rung: Rung) -> None:
        with suppress(Problem):
            usage = await self._runtime.usage(await self._runtime.get(tenant.name))
            self._chronicle.note_rest(tenant, rung, usage.rss_bytes, usage.swap_bytes)

    # --- those who run ------------------------------------------------------------------------------------------------

    async def _trim_forever(self) -> None:
        every_s = TRIM_EVERY_S if self.trim_after is None else min(TRIM_EVERY_S, self.trim_after.total_seconds())
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.trim()
            except Problem as problem:
                log.warning("trimming failed", code=problem.code, problem=problem.message)

    async def trim(self) -> list[str]:
        """Take from some who run what they don't touch; who that was."""
        host, now = await self._memory.now(), self._clock.now()
        before, self._before = self._before, (host, now)
        elapsed_s = (now - before[1]).total_seconds() if before else 0.0
        self.paused_why = self._offer.missing.get(Rung.PAGED) or why_not_now(
            host, before[0] if before else None, elapsed_s
        )
        if self.paused_why is not None:
            return []
        trimmed: list[str] = []
        for tenant in self._directory:
            if len(trimmed) == TRIMS_A_ROUND:
                break
            if self._is_due(tenant, now) and await self._trim_safely(tenant, now):
                trimmed.append(tenant.name)
        return trimmed

    def _is_due(self, tenant: Tenant, now: datetime) -> bool:
        if self.trim_after is None or tenant.seen.state is not State.RUNNING or not tenant.seen.ready:
            return False
        # Of whoever was up when we came nobody has told us.
        ready_since = self._ready_since.setdefault(tenant.name, now)
        if tenant.rung is not Rung.RUNNING or self._holds.in_flight(tenant.name) is not None:
            return False
        return is_due(
            ready_since=ready_since,
            last_activity=self._directory.last_activity(tenant),
            trimmed=self._trimmed.get(tenant.name),
            first_after=self.trim_after,
            now=now,
        )

    async def _trim_safely(self, tenant: Tenant, now: datetime) -> bool:
        try:
            return await self._trim(tenant, now)
        except Problem as problem:  # it may be going just now; the others have their turn
            log.info("not trimmed", tenant=tenant.name, why=problem.message)
            return False

    async def _trim(self, tenant: Tenant, now: datetime) -> bool:
        instance = await self._runtime.get(tenant.name)
        if instance.state is not State.RUNNING:  # frozen for a copy of it, say: all of its memory would go
            return False
        usage = await self._runtime.usage(instance)
        last = self._trimmed.get(tenant.name)
        if last is not None and not last.grown(usage.rss_bytes):
            self._trimmed[tenant.name] = last.looked_at(usage, now)
            return False
        paged = await self._runtime.page_out(instance)
        self._bus.publish(MemoryMoved(tenant=tenant.name, trimmed=True, paged=paged))
        if paged.skipped is not None:
            log.info("not trimmed", tenant=tenant.name, why=paged.skipped)
            return False
        after = await self._runtime.usage(instance)
        self._trimmed[tenant.name] = next_trim(last, usage, after, now)
        self._chronicle.note_trim(tenant, after)
        log.info("trimmed", tenant=tenant.name, **_figures(paged))
        return True

    # --- following ----------------------------------------------------------------------------------------------------

    def _follow(self, event: Event) -> None:
        match event:
            case TenantChanged(now=tenant):
                if tenant.rung is Rung.PAGED:
                    self._look.set()
                elif (task := self._under_way.get(tenant.name)) is not None and tenant.rung is Rung.RUNNING:
                    task.cancel()  # it is needed: what is left of its memory had better stay
            case StateChanged(now=tenant):
                self._on_state(tenant)
            case TenantGone(tenant=name):
                for known in (self._paged, self._trimmed, self._ready_since):
                    known.pop(name, None)

    def _on_state(self, tenant: Tenant) -> None:
        name, state = tenant.name, tenant.seen.state
        if state is State.PAUSED:
            self._look.set()
            return
        self._paged.pop(name, None)
        if state is State.RUNNING and tenant.seen.ready:
            self._ready_since.setdefault(name, self._clock.now())
        elif state is not State.RUNNING:
            self._ready_since.pop(name, None)
            self._trimmed.pop(name, None)


def _figures(paged: PagedOut) -> dict[str, object]:
    return {
        "before_mb": paged.before_bytes // MB,
        "after_mb": paged.after_bytes // MB,
        "swapped_mb": paged.swapped_bytes // MB,
        "seconds": round(paged.seconds, 2),
    }
