"""Which tools agents called, for the trail: written in batches, for a call mustn't wait for a disk, and none is lost.

While the store doesn't answer, lines wait; when too many do, no more calls are let through, rather than made unseen.
A crash takes the lines of its last second with it: the calls they speak of may have been made.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from innkeeper.core.access import ActorKind
from innkeeper.core.audit import Entry
from innkeeper.core.errors import Kind, Problem
from innkeeper.core.ports import Clock, Store
from innkeeper.core.tenant import Tenant
from innkeeper.core.tools import TOOL_CALL, Outcome

WAITING_MAX = 10_000
BATCH_MAX = 500
"""Lines in one transaction: others want to write, too."""
BATCH_EVERY_S = 1.0
KEPT_BYTES = 16 * 1024
"""Longer arguments are kept as a hash alone, even where they are asked for."""
_NAME_MAX = 200


class TrailBehind(Problem):
    """The audit trail can't be written, so that no tool may be called."""

    code = "trail_behind"
    kind = Kind.NOT_READY
    default_hint = "The operator should look at the database: `innkeeper doctor`."


class Fingerprints(Protocol):
    """Hashes that nobody can try values against without a key that the database doesn't hold."""

    def fingerprint(self, tenant_id: str, content: bytes) -> str:
        """A keyed hash of `content`, another one for each tenant."""
        ...


class ToolTrail:
    """Takes note of calls at once, and writes them down in batches."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        fingerprints: Fingerprints,
        count: Callable[[Outcome, float], object] = lambda outcome, seconds: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._fingerprints = fingerprints
        self._count = count
        self._waiting: list[Entry] = []
        self._noted = asyncio.Event()
        self._writing = asyncio.Lock()

    def check(self) -> None:
        """Raise TrailBehind where no call may be made just now."""
        if len(self._waiting) >= WAITING_MAX:
            raise TrailBehind("The audit trail can't be written just now, and no tool is called without it.")

    def note(
        self,
        tenant: Tenant,
        *,
        began: datetime,
        seconds: float,
        outcome: Outcome,
        tool: str,
        server: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        keep_arguments: bool = False,
        code: str | None = None,
    ) -> None:
        """A call has ended; never waits. Of its arguments a keyed hash is kept, or on demand they themselves."""
        self._count(outcome, seconds)
        told = {
            "server": server,
            "tool": tool[:_NAME_MAX],
            "outcome": outcome,
            "code": code,
            "seconds": round(seconds, 3),
            **self._told(tenant, arguments or {}, keep=keep_arguments),
        }
        self._waiting.append(
            Entry(
                at=began,
                actor=tenant.name,
                kind=ActorKind.AGENT,
                action=TOOL_CALL,
                tenant=tenant.name,
                tenant_id=tenant.id,
                detail={name: value for name, value in told.items() if value is not None},
            )
        )
        self._noted.set()

    async def write(self) -> None:
        """Write down what waits; it goes on waiting where the store doesn't answer."""
        async with self._writing:
            while batch := self._waiting[:BATCH_MAX]:
                async with self._store.begin() as tx:
                    for line in batch:
                        await tx.audit(line)
                del self._waiting[: len(batch)]

    async def keep_writing(self) -> None:
        """For ever, a second after the first of each batch."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(BATCH_EVERY_S)
            try:
                await self.write()
            except Problem:
                self._noted.set()  # the next round is the retry

    async def close(self) -> None:
        """Write down the rest."""
        with suppress(Problem):
            await self.write()

    def now(self) -> datetime:
        """The time, as the trail tells it."""
        return self._clock.now()

    def _told(self, tenant: Tenant, arguments: Mapping[str, Any], *, keep: bool) -> Mapping[str, object]:
        content = json.dumps(arguments, sort_keys=True, separators=(",", ":")).encode()
        if keep and len(content) <= KEPT_BYTES:
            return {"arguments": arguments}
        return {"arguments_hash": self._fingerprints.fingerprint(tenant.id, content)}
