"""Which tenant is drilled next, and when: one at a time, by lot, those who were proven longest ago the likeliest."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from innkeeper.core.access import SYSTEM
from innkeeper.core.directory import Directory
from innkeeper.core.drill import Drill
from innkeeper.core.drills import Catalogue
from innkeeper.core.operations import Operation, OperationKind
from innkeeper.core.ports import Clock, Store
from innkeeper.core.tenant import Tenant, Wanted
from innkeeper.core.works import Works

LOOKED_AT = 20
"""So many are looked at for a snapshot in one turn."""
LONGEST = timedelta(days=365)
"""Whoever was never proven counts as proven so long ago."""


class DrillSchedule:
    """Begins a drill whenever one is due."""

    def __init__(
        self,
        *,
        every: timedelta | None,
        works: Works,
        catalogue: Catalogue,
        directory: Directory,
        store: Store,
        clock: Clock,
        lots: random.Random | None = None,
    ) -> None:
        """`every`: how often; None: never."""
        self._every = every
        self._works = works
        self._catalogue = catalogue
        self._directory = directory
        self._store = store
        self._clock = clock
        self._lots = lots or random.SystemRandom()

    async def turn(self) -> Operation | None:
        """The drill that was begun, if one was due and somebody has a snapshot."""
        now = self._clock.now()
        async with self._store.look() as tx:
            due = await self._is_due(await tx.drills.newest(limit=1), await tx.operations(open_only=True), now)
            proven = await tx.drills.latest() if due else {}
        if not due:
            return None
        for tenant in drawn(self._directory, proven, now, self._lots)[:LOOKED_AT]:
            found = await self._catalogue.newest(tenant.id)
            if found is None:
                continue
            return await self._begin(tenant)
        return None

    async def _begin(self, tenant: Tenant) -> Operation | None:
        """Unless another control plane was quicker."""
        async with self._store.begin() as tx:
            there = await tx.tenant(tenant.name)
            if there is None or there.wanted is Wanted.GONE or _has_drill(await tx.operations(open_only=True)):
                return None
            operation = await self._works.add(tx, self._works.new(OperationKind.DRILL, there), actor=SYSTEM)
        self._works.tell(operation)
        return operation

    async def _is_due(self, newest: Sequence[Drill], open_ones: Sequence[Operation], now: datetime) -> bool:
        if self._every is None or _has_drill(open_ones):
            return False
        # One from the future is of a clock that was set back since.
        return not any(timedelta(0) <= now - drill.began_at < self._every for drill in newest)


def drawn(tenants: Iterable[Tenant], last: Mapping[str, Drill], now: datetime, lots: random.Random) -> Sequence[Tenant]:
    """In an order that the lot decides, weighted by the time since each was drilled last (Efraimidis and Spirakis,
    2006)."""

    def key(tenant: Tenant) -> float:
        drill = last.get(tenant.name)
        ago = LONGEST if drill is None else min(LONGEST, max(timedelta(0), now - drill.began_at))
        return float(lots.random() ** (1 / (1 + ago / timedelta(days=1))))

    return sorted((each for each in tenants if each.wanted is not Wanted.GONE), key=key, reverse=True)


def _has_drill(operations: Sequence[Operation]) -> bool:
    return any(operation.kind is OperationKind.DRILL for operation in operations)
