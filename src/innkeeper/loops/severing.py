"""Ends what a credential has opened once the credential isn't valid any more.

The gate refuses its next request by itself. What is already open (a WebSocket, a stream) is ended from outside: the
client's connection where it is known by its end, else the edge's connections to the tenant, over which it was served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from innkeeper.core.callers import Callers, Pass
from innkeeper.core.errors import Problem
from innkeeper.core.ports import Connections
from innkeeper.loops.supervise import Supervisor


async def _nobody_to_tell() -> None:
    return None


log = structlog.get_logger("innkeeper.severing")

LOOK_EVERY_S = 2.0
PRUNE_EVERY_S = 30.0
DIAL_S = 1.0
"""A request that had just passed is on its connection to the tenant by then: it would be missed before."""


class Severing:
    """Keeps it true that nothing is open by a pass that isn't valid; looks again and again, and at once when told to.

    `still` says whether a pass is valid. `lost` says whether anything of a tenant's was revoked since this control
    plane, or the one before it, started: what was opened before ours, and by whom, nobody knows any more, so then all
    of it ends, once. `address` gives a tenant's own, `tenant_at` the reverse; None where there is none.
    `note_done` is called after each round that left nothing open: for whoever comes after us.
    """

    def __init__(
        self,
        *,
        callers: Callers,
        connections: Connections,
        still: Callable[[Pass], bool],
        lost: Callable[[str], bool],
        address: Callable[[str], str | None],
        tenant_at: Callable[[str], str | None],
        on_severed: Callable[[str, int], object] = lambda side, count: None,
        note_done: Callable[[], Awaitable[None]] = _nobody_to_tell,
    ) -> None:
        self._callers = callers
        self._connections = connections
        self._still = still
        self._lost = lost
        self._address = address
        self._tenant_at = tenant_at
        self._on_severed = on_severed
        self._note_done = note_done
        self._hurried = asyncio.Event()
        self._before: dict[str, frozenset[int]] = {}
        """The edge's connections from before us, by address."""
        self._remembered = False
        self._due_s: dict[Pass, float] = {}
        self._prune_at_s = 0.0
        self._problems: set[str] = set()
        """What went wrong in the last round."""

    def start(self, supervisor: Supervisor) -> None:
        """Hand the loop to the supervisor."""
        supervisor.add("severing", self._run)

    def hurry(self) -> None:
        """Something was revoked: look now."""
        self._hurried.set()

    async def remember(self) -> None:
        """Note what is open already; to be called before the gate lets the first request pass, repeated if it fails."""
        if not self._remembered:
            self._before = dict(await self._connections.upstreams())
            self._remembered = True

    async def look(self) -> None:
        """One round: whatever fails is tried again in the next, for it is forgotten only when it is gone."""
        gone = [each for each in self._callers.passes() if not self._still(each)]
        known, self._problems = self._problems, set()
        for work in (self._sever_clients(gone), self._sever_elsewhere(gone), self._sever_before()):
            try:
                await work
            except Problem as problem:
                self._problems.add(problem.message)
                if problem.message not in known:  # said once, though it comes every two seconds
                    log.warning("not severed", code=problem.code, problem=problem.message, hint=problem.hint)
        if not self._problems:
            await self._note_done()

    async def _run(self) -> None:
        while True:
            self._hurried.clear()
            await self.look()
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._hurried.wait()
            except TimeoutError:
                continue

    async def _sever_clients(self, gone: Iterable[Pass]) -> None:
        ends = self._callers.ends(gone)
        if ends:
            self._count("client", await self._connections.sever(ends))
        now_s = asyncio.get_running_loop().time()
        if ends or self._callers.crowded or (len(self._callers) and now_s >= self._prune_at_s):
            mark = self._callers.mark()
            self._callers.prune(await self._connections.clients(), since=mark)
            self._prune_at_s = now_s + PRUNE_EVERY_S

    async def _sever_elsewhere(self, gone: Iterable[Pass]) -> None:
        now_s = asyncio.get_running_loop().time()
        self._due_s = {each: self._due_s.get(each, now_s + DIAL_S) for each in self._callers.elsewhere(gone)}
        due = [each for each, at_s in self._due_s.items() if at_s <= now_s]
        addresses = {address for each in due if (address := self._address(each.tenant)) is not None}
        if addresses:
            self._count("tenant", await self._connections.sever_upstream(addresses))
        self._callers.forget_elsewhere(due)

    async def _sever_before(self) -> None:
        await self.remember()
        for address, cookies in tuple(self._before.items()):
            tenant = self._tenant_at(address)
            if tenant is not None and self._lost(tenant):
                self._count("tenant", await self._connections.sever_upstream((address,), only=cookies))
                del self._before[address]

    def _count(self, side: str, severed: int) -> None:
        if severed:
            log.info("severed", side=side, connections=severed)
            self._on_severed(side, severed)
