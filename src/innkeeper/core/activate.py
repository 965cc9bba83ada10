"""Getting a tenant ready for a request that is already there: woken once, however many ask.

Every waiter gets exactly one of three: the ready tenant, a Problem that says why not, or TenantNotReady at
its deadline. Who doesn't wait can launch: the tenant comes up all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from innkeeper.core.closing_errors import TenantClosed
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem, TenantAsleep, TenantFailed, TenantNotReady, UnknownTenant
from innkeeper.core.instance import State
from innkeeper.core.tenant import Tenant, Wanted

Rouse = Callable[[str], Awaitable[object]]
"""Write down that the tenant of that name should be running."""

CLOSE_S = 2.0
"""How long the last wakes may take to be written down when we end: each is one short transaction."""


@dataclass(frozen=True, kw_only=True)
class Departure:
    """When a tenant was told to come up, by the event loop's clock, and how it lay then."""

    at: float
    tenant: Tenant | None


class Activator:
    """Gets tenants up, each in one flight, and holds those who wait for it."""

    def __init__(self, *, directory: Directory, rouse: Rouse, hold_limit: int) -> None:
        self._directory = directory
        self._rouse = rouse
        self._hold_limit = hold_limit
        self._flights: dict[str, _Flight] = {}
        self._rousing: set[asyncio.Task[None]] = set()

    def waiting(self, name: str) -> int:
        """How many requests are held for the tenant."""
        flight = self._flights.get(name)
        return flight.waiters if flight else 0

    def departure(self, name: str) -> Departure | None:
        """Where the tenant's flight began; None when it isn't on its way up, as far as we were asked."""
        flight = self._flights.get(name)
        return flight.departure if flight and not flight.landed.done() else None

    def launch(self, name: str) -> None:
        """Get the tenant up for somebody who doesn't wait here. It goes on though nobody holds a connection."""
        self._flight(name)

    def fail(self, name: str, problem: Problem) -> None:
        """It won't come up now: whoever waits hears why."""
        flight = self._flights.get(name)
        if flight is not None:
            flight.fail(problem)

    async def ready(self, name: str, *, deadline_s: float) -> Tenant:
        """The tenant once it is ready. Raises TenantNotReady, TenantClosed, TenantAsleep, TenantFailed, NoCapacity,
        UnknownTenant."""
        flight = self._flight(name)
        if flight.waiters >= self._hold_limit:
            raise TenantNotReady(f"Too many requests wait for {name} already.")
        flight.waiters += 1
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.shield(flight.landed)
        except TimeoutError:
            raise _not_ready(name, self._directory.tenant(name), deadline_s) from None
        finally:
            flight.waiters -= 1

    async def close(self) -> None:
        """End every flight; wakes that are just being written down are still written."""
        if self._rousing:
            _, late = await asyncio.wait(self._rousing, timeout=CLOSE_S)
            for task in late:
                task.cancel()
        for flight in tuple(self._flights.values()):
            flight.end()

    def _flight(self, name: str) -> _Flight:
        """The tenant's flight, begun where there is none."""
        flight = self._flights.get(name)
        if flight is not None and not flight.landed.done():
            flight.look(self._directory.tenant(name))
            return flight
        flight = _Flight(name, self._directory, self._begin_rousing)
        if not flight.landed.done():
            self._flights[name] = flight
            flight.landed.add_done_callback(lambda _: self._drop(name, flight))
        return flight

    def _drop(self, name: str, flight: _Flight) -> None:
        if self._flights.get(name) is flight:
            del self._flights[name]

    def _begin_rousing(self, name: str) -> asyncio.Task[None]:
        """Kept here, not by the flight: it has to be written down even when nobody waits any more."""

        async def rouse() -> None:
            await self._rouse(name)

        task = asyncio.get_running_loop().create_task(rouse(), name=f"wake:{name}")
        self._rousing.add(task)
        task.add_done_callback(self._rousing.discard)
        return task


class _Flight:
    """One tenant's way up, from the first who asks until it is ready or can't be, whoever waits for it meanwhile."""

    def __init__(self, name: str, directory: Directory, rouse: Callable[[str], asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()
        tenant = directory.tenant(name)
        self.waiters = 0
        self.landed: asyncio.Future[Tenant] = loop.create_future()
        self.departure = Departure(at=loop.time(), tenant=tenant)
        self._name = name
        self._rouse = rouse
        self._rousing: asyncio.Task[None] | None = None
        self._directory = directory
        self._end_watch = directory.watch(name, self._follow)
        self.look(tenant)

    def end(self) -> None:
        """It leads nowhere."""
        self.fail(TenantNotReady(f"{self._name} isn't waited for any more."))

    def look(self, tenant: Tenant | None) -> None:
        """The tenant as it is now: has it landed, or does it have to be told to come up?"""
        if self.landed.done():
            return
        if tenant is None or tenant.wanted is Wanted.GONE:
            self.fail(UnknownTenant(f"There is no tenant {self._name}."))
        elif tenant.closed is not None:
            self.fail(TenantClosed(f"{self._name} is being restored or moved, and is closed meanwhile."))
        elif tenant.wanted is Wanted.ASLEEP:
            self.fail(TenantAsleep(f"{self._name} was put to sleep and isn't to be woken."))
        elif tenant.seen.state is State.FAILED:
            self.fail(TenantFailed(f"{self._name} can't run at present."))
        elif is_open(tenant):
            self._end_watch()
            self.landed.set_result(tenant)
        elif tenant.target is not State.RUNNING and self._rousing is None:
            self._rousing = self._rouse(self._name)
            self._rousing.add_done_callback(self._roused)

    def _follow(self, tenant: Tenant | None) -> None:
        """Something changed."""
        if self._forsaken(tenant):
            self.end()
        else:
            self.look(tenant)

    def _forsaken(self, tenant: Tenant | None) -> bool:
        """Whether somebody has put it back to sleep, and nobody holds for whom it would have to be woken again."""
        lies = tenant is not None and tenant.target is not State.RUNNING
        return lies and self._rousing is None and not self.waiters

    def _roused(self, task: asyncio.Task[None]) -> None:
        self._rousing = None
        if self.landed.done() or task.cancelled():
            return
        if (problem := task.exception()) is not None:
            self.fail(problem)
        elif self._forsaken(self._directory.tenant(self._name)):
            self.end()

    def fail(self, problem: BaseException) -> None:
        """It comes to nothing, for that reason."""
        if self.landed.done():
            return
        self._end_watch()
        self.landed.set_exception(problem)
        if isinstance(problem, Problem):
            self.landed.exception()  # looked at: asyncio should call only bugs forgotten where nobody waits


def is_open(tenant: Tenant) -> bool:
    """Whether requests may go to the tenant right now."""
    seen = tenant.seen
    if tenant.closed is not None:
        return False
    return seen.ready and seen.state is State.RUNNING and tenant.target is State.RUNNING and seen.suspension is None


def _not_ready(name: str, tenant: Tenant | None, deadline_s: float) -> TenantNotReady:
    state = tenant.seen.state if tenant else State.ABSENT
    return TenantNotReady(f"{name} is {state} and wasn't ready within {deadline_s:g} s.")
