"""The core's `DrillRows` on a SQL connection, the same for both databases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.drill import SPEAKING, Drill, Outcome, StepTaken
from innkeeper.core.kept_json import moment, stamp
from innkeeper.store import tables
from innkeeper.store.rows import AnyRow

_table = tables.drills
_column = _table.c


class SqlDrills:
    """The drills that are over, within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, drill: Drill) -> None:
        its = tables.tenants.c
        there = select(its.name).where(its.name == drill.tenant, its.id == drill.tenant_id)
        if (await self._connection.execute(there)).first() is None:
            return
        await self._connection.execute(delete(_table).where(_column.id == drill.id))
        await self._connection.execute(insert(_table).values(_values(drill)))

    async def get(self, drill_id: str) -> Drill | None:
        row = (await self._connection.execute(select(_table).where(_column.id == drill_id))).first()
        return None if row is None else _drill_of(row)

    async def newest(
        self, *, tenant: str | None = None, before: str | None = None, limit: int | None = None
    ) -> Sequence[Drill]:
        query = select(_table).order_by(_column.id.desc()).limit(limit)
        if tenant is not None:
            query = query.where(_column.tenant == tenant)
        if before is not None:
            query = query.where(_column.id < before)
        return [_drill_of(row) for row in await self._connection.execute(query)]

    async def proven(self, tenants: Sequence[str] | None = None) -> Mapping[str, Drill]:
        return await self._last((Outcome.PROVEN,), tenants)

    async def latest(self, tenants: Sequence[str] | None = None) -> Mapping[str, Drill]:
        return await self._last(SPEAKING, tenants)

    async def _last(self, outcomes: Iterable[Outcome], tenants: Sequence[str] | None) -> dict[str, Drill]:
        last = select(func.max(_column.id)).where(_column.outcome.in_([each.value for each in outcomes]))
        if tenants is not None:
            last = last.where(_column.tenant.in_(tenants))
        query = select(_table).where(_column.id.in_(last.group_by(_column.tenant)))
        return {drill.tenant: drill for drill in map(_drill_of, await self._connection.execute(query))}


def _values(drill: Drill) -> dict[str, object]:
    return {
        **vars(drill),
        "taken_at": stamp(drill.taken_at),
        "began_at": stamp(drill.began_at),
        "ended_at": stamp(drill.ended_at),
        "outcome": drill.outcome.value,
        "steps": json.dumps([[each.step, each.seconds] for each in drill.steps]),
    }


def _drill_of(row: AnyRow) -> Drill:
    kept = dict(row._mapping)
    return Drill(
        **kept
        | {
            "taken_at": moment(kept["taken_at"]),
            "began_at": moment(kept["began_at"]),
            "ended_at": moment(kept["ended_at"]),
            "outcome": Outcome(kept["outcome"]),
            "steps": tuple(StepTaken(step=step, seconds=seconds) for step, seconds in json.loads(kept["steps"])),
        }
    )
