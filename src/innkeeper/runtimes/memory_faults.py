"""How the memory runtime misbehaves on request, and how it complains when the core breaks the contract."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from innkeeper.core.errors import RuntimeUnavailable


class Call(StrEnum):
    """Everything that can be asked of a runtime."""

    GET = "get"
    ALL = "all"
    CREATE = "create"
    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    REMOVE = "remove"
    RUN = "run"
    LOGS = "logs"
    USAGE = "usage"
    PAGE_OUT = "page_out"
    LACKS = "lacks"
    SET_CPUS = "set_cpus"
    PLACE = "place"
    PLACES = "places"
    PRUNE = "prune"
    RESOLVE_IMAGE = "resolve_image"
    CHECK = "check"


class Mishap(StrEnum):
    """What goes wrong with one call."""

    BEFORE = "before"  # it raises and has done nothing
    AFTER = "after"  # it has done its work, then raises
    VANISH = "vanish"  # somebody removes the instance just before
    HANG = "hang"  # it waits for `release`, then does its work


def _unavailable() -> BaseException:
    return RuntimeUnavailable("The memory runtime was told not to answer.")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One mishap, for the next call of its kind (of one tenant, or of any)."""

    mishap: Mishap
    tenant: str | None = None
    error: Callable[[], BaseException] = _unavailable
    """What BEFORE and AFTER raise; a BaseException of the test's own plays the death of the process."""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set as soon as a call has run into it."""
    release: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One action that was done."""

    call: Call
    tenant: str
    instance_id: str


class Misbehaviour:
    """The faults that wait, the calls that came, the deeds that were done and the complaints about the core."""

    def __init__(self, vanish: Callable[[str], None]) -> None:
        self._vanish = vanish
        self._acting: Counter[str] = Counter()
        self.faults: defaultdict[Call, deque[Fault]] = defaultdict(deque)
        self.calls: Counter[Call] = Counter()
        self.journal: list[Deed] = []
        self.violations: list[str] = []
        self.down = False

    @asynccontextmanager
    async def around(self, call: Call, tenant: str = "") -> AsyncIterator[None]:
        """Count a call and let go wrong what should."""
        self.calls[call] += 1
        fault = self._next(call, tenant)
        if fault:
            fault.reached.set()
            await self._before(fault, tenant)
        if self.down:
            raise _unavailable()
        yield
        if fault and fault.mishap is Mishap.AFTER:
            raise fault.error()

    @asynccontextmanager
    async def acting(self, call: Call, tenant: str) -> AsyncIterator[None]:
        """The same for an action, of which a tenant has one at a time."""
        if self._acting[tenant]:
            self.violations.append(f"{call} of {tenant} while another action of it was under way")
        self._acting[tenant] += 1
        try:
            async with self.around(call, tenant):
                yield
        finally:
            self._acting[tenant] -= 1
            if not self._acting[tenant]:
                del self._acting[tenant]

    async def _before(self, fault: Fault, tenant: str) -> None:
        match fault.mishap:
            case Mishap.BEFORE:
                raise fault.error()
            case Mishap.VANISH:
                self._vanish(tenant)
            case Mishap.HANG:
                await fault.release.wait()
            case Mishap.AFTER:
                pass

    def _next(self, call: Call, tenant: str) -> Fault | None:
        waiting = self.faults.get(call)
        if not waiting:
            return None
        for fault in waiting:
            if fault.tenant in (None, tenant):
                waiting.remove(fault)
                return fault
        return None
