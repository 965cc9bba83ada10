"""Who was denied access, for the trail: so few lines a minute that a flood of refusals fills no disk."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import StrEnum

from innkeeper.core.access import KEY_PREFIX, SYSTEM, Actor, ActorKind
from innkeeper.core.audit import Entry, entry
from innkeeper.core.directory import Directory
from innkeeper.core.errors import Problem
from innkeeper.core.ports import Clock, Store

MINUTE_S = 60.0
PER_ADDRESS, IN_ALL = 10, 100
"""So many lines a minute; the others are counted, and the minute's last line says how many there were."""
WAITING_MAX = 10 * IN_ALL
"""Kept while the store doesn't answer; beyond that they are counted alone."""
BATCH_EVERY_S = 1.0
DENIED = "access.denied"


class Denial(StrEnum):
    """Why somebody was denied access."""

    MISSING = "missing"  # no credential at all: counted, and never a line of the trail
    CREDENTIAL = "credential"  # there is no such credential, or not any more
    PERMISSION = "permission"  # it isn't for that


_KINDS = {"a": "admin", "k": "key", "t": "token", "s": "session", "b": "broker", "g": "gateway"}


def looks_like(credential: str) -> str:
    """What sort of credential somebody came with that we don't know, told by its prefix alone."""
    if credential.startswith(KEY_PREFIX):
        return _KINDS.get(credential[len(KEY_PREFIX) : len(KEY_PREFIX) + 1], "other")
    return "jwt" if credential.startswith("eyJ") and credential.count(".") == 2 else "other"


class Denials:
    """Takes note of refusals at once, and writes them down in batches."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        clock: Clock,
        count: Callable[[Denial], object] = lambda denial: None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._count = count
        self._waiting: list[Entry] = []
        self._noted = asyncio.Event()
        self._minute = 0
        self._lines: Counter[str | None] = Counter()
        self._suppressed = 0

    def note(
        self,
        denial: Denial,
        *,
        actor: Actor | None = None,
        action: str | None = None,
        tenant: str | None = None,
        address: str | None = None,
        request: str | None = None,
        credential: str | None = None,
    ) -> None:
        """Somebody was denied access; never waits, raises or keeps a secret. `credential`: as `looks_like` tells it."""
        self._count(denial)
        if denial is Denial.MISSING:
            return
        now = self._clock.now()
        self._turn_to(now)
        self._noted.set()
        full = len(self._waiting) >= WAITING_MAX
        if full or self._lines.total() >= IN_ALL or self._lines[address] >= PER_ADDRESS:
            self._suppressed += 1
            return
        self._lines[address] += 1
        there = self._directory.tenant(tenant) if tenant else None  # no line speaks of tenants that strangers made up
        told = {"reason": denial, "action": action, "credential": credential}
        self._waiting.append(
            Entry(
                at=now,
                actor=actor.id if actor else "unknown",
                kind=actor.kind if actor else ActorKind.UNKNOWN,
                action=DENIED,
                tenant=there.name if there else None,
                tenant_id=there.id if there else None,
                detail={name: value for name, value in told.items() if value is not None},
                address=address,
                request=request,
            )
        )

    def add(self, line: Entry) -> None:
        """Have another line written with the next batch; never waits."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(line)
            self._noted.set()

    async def write(self) -> None:
        """Write down what waits; it goes on waiting where the store doesn't answer."""
        self._turn_to(self._clock.now())
        batch = list(self._waiting)
        if not batch:
            return
        async with self._store.begin() as tx:
            for line in batch:
                await tx.audit(line)
        del self._waiting[: len(batch)]

    async def keep_writing(self) -> None:
        """For ever, a second after the first of each batch, and at the end of each minute that was too much."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(MINUTE_S if self._suppressed or self._waiting else None):
                    await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(BATCH_EVERY_S)
            with suppress(Problem):  # the next round is the retry
                await self.write()

    def _turn_to(self, now: datetime) -> None:
        """Begin another minute, and say what the last one has left out."""
        minute = int(now.timestamp() // MINUTE_S)
        if minute == self._minute:
            return
        if self._suppressed:
            self._waiting.append(entry(SYSTEM, DENIED, at=now, detail={"suppressed": self._suppressed}))
        self._minute, self._suppressed = minute, 0
        self._lines.clear()
