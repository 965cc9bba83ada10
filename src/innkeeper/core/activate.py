"""Getting a tenant ready for a request that is already there: woken once, however many ask.

Every waiter gets exactly one of three: the ready tenant, a Problem that says why not, or TenantNotReady at
its deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem, TenantAsleep, TenantFailed, TenantNotReady, UnknownTenant
from innkeeper.core.instance import State
from innkeeper.core.tenant import Tenant, Wanted

Rouse = Callable[[str], Awaitable[object]]
"""Write down that the tenant of that name should be running."""


class Activator:
    """Holds those who wait, each tenant's in one flight."""

    def __init__(self, *, directory: Directory, rouse: Rouse, hold_limit: int) -> None:
        self._directory = directory
        self._rouse = rouse
        self._hold_limit = hold_limit
        self._flights: dict[str, _Flight] = {}

    def waiting(self, name: str) -> int:
        """How many requests are held for the tenant."""
        flight = self._flights.get(name)
        return flight.waiters if flight else 0

    def fail(self, name: str, problem: Problem) -> None:
        """Nobody needs to wait any longer: it won't come up now."""
        flight = self._flights.get(name)
        if flight is not None and not flight.landed.done():
            flight.landed.set_exception(problem)

    async def ready(self, name: str, *, deadline_s: float) -> Tenant:
        """The tenant once it is ready. Raises TenantNotReady, TenantAsleep, TenantFailed, NoCapacity, UnknownTenant."""
        flight = self._flights.get(name)
        if flight is None:
            flight = self._flights[name] = _Flight(name, self._directory, self._rouse)
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
            if flight.landed.done() or not flight.waiters:
                flight.end()
                if self._flights.get(name) is flight:
                    del self._flights[name]


class _Flight:
    """One tenant's way up, shared by all who wait for it."""

    def __init__(self, name: str, directory: Directory, rouse: Rouse) -> None:
        self.waiters = 0
        self.landed: asyncio.Future[Tenant] = asyncio.get_running_loop().create_future()
        self._name = name
        self._rouse = rouse
        self._rousing: asyncio.Task[None] | None = None
        self._end_watch = directory.watch(name, self._look)
        self._look(directory.tenant(name))

    def end(self) -> None:
        """Stop watching; nobody waits any more."""
        self._end_watch()
        if self._rousing is not None:
            self._rousing.cancel()
        if self.landed.done() and not self.landed.cancelled():
            self.landed.exception()  # looked at, so that asyncio doesn't call it forgotten
        self.landed.cancel()

    def _look(self, tenant: Tenant | None) -> None:
        """The tenant as it is now: has it landed, or does it have to be told to come up?"""
        if self.landed.done():
            return
        if tenant is None or tenant.wanted is Wanted.GONE:
            self.landed.set_exception(UnknownTenant(f"There is no tenant {self._name}."))
        elif tenant.wanted is Wanted.ASLEEP:
            self.landed.set_exception(TenantAsleep(f"{self._name} was put to sleep and isn't to be woken."))
        elif tenant.seen.state is State.FAILED:
            self.landed.set_exception(TenantFailed(f"{self._name} can't run at present."))
        elif is_open(tenant):
            self.landed.set_result(tenant)
        elif tenant.target is not State.RUNNING and self._rousing is None:
            self._rousing = asyncio.get_running_loop().create_task(self._wake(), name=f"wake:{self._name}")

    async def _wake(self) -> None:
        try:
            await self._rouse(self._name)
        except Problem as problem:
            if not self.landed.done():
                self.landed.set_exception(problem)
        finally:
            self._rousing = None


def is_open(tenant: Tenant) -> bool:
    """Whether requests may go to the tenant right now."""
    seen = tenant.seen
    return seen.ready and seen.state is State.RUNNING and tenant.target is State.RUNNING and seen.suspension is None


def _not_ready(name: str, tenant: Tenant | None, deadline_s: float) -> TenantNotReady:
    state = tenant.seen.state if tenant else State.ABSENT
    return TenantNotReady(f"{name} is {state} and wasn't ready within {deadline_s:g} s.")
