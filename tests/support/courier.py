"""A courier in memory, which outlives the control plane of a test, is told what to answer, and can be away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from innkeeper.core.errors import EdgeFault
from innkeeper.core.ports import Parcel


@dataclass
class MemoryCourier:
    """Carries each parcel in a task of its own, which goes on whoever stops waiting for it."""

    name: str = "here"
    answer: Callable[[Parcel], Awaitable[int]] | None = None
    away: bool = False
    carried: list[Parcel] = field(default_factory=list)
    record: dict[str, int] = field(default_factory=dict)
    under_way: dict[str, asyncio.Task[int]] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0

    async def deliver(self, parcel: Parcel) -> int:
        if self.away:
            raise EdgeFault("Nobody is here.")
        assert parcel.attempt.startswith(f"{self.name}.")
        assert parcel.attempt not in self.record, "an attempt was made twice"
        task = self.under_way[parcel.attempt] = asyncio.create_task(self._carry(parcel))
        return await asyncio.shield(task)

    async def _carry(self, parcel: Parcel) -> int:
        self.carried.append(parcel)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            status = self.record[parcel.attempt] = await self.answer(parcel) if self.answer else 200
        finally:
            self.at_once -= 1
            del self.under_way[parcel.attempt]
        return status

    async def look_back(self) -> Before:
        return Before(self, list(self.under_way.values()))

    @property
    def bodies(self) -> list[bytes]:
        """What was carried, in order."""
        return [parcel.payload.body for parcel in self.carried]


@dataclass
class Before:
    """What was under way at a certain time."""

    courier: MemoryCourier
    tasks: list[asyncio.Task[int]]

    async def ended(self, attempt: str) -> int | None:
        if self.tasks:
            await asyncio.wait(self.tasks)
        return self.courier.record.get(attempt)
