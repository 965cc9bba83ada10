"""The core's `SnapshotRows` on a SQL connection."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from innkeeper.core.kept_json import as_json, moment, stamp
from innkeeper.core.operations import Trouble
from innkeeper.core.snapshots import BackupState, Origin, Snapshot
from innkeeper.store import tables
from innkeeper.store.rows import AnyRow, moment_or_none

_snapshot = tables.snapshots.c
_state = tables.backup_states.c
_MOMENTS = ("taken_at", "confirmed_at", "verified_at", "proven_at")
_MAPPINGS = ("copies", "damage", "broken")


class SqlSnapshots:
    """Snapshots, within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, snapshot: Snapshot) -> None:
        await self.drop([snapshot.id])
        values = {each.name: getattr(snapshot, each.name) for each in fields(Snapshot)}
        values |= {name: None if values[name] is None else stamp(values[name]) for name in _MOMENTS}
        values |= {name: as_json(values[name]) for name in _MAPPINGS} | {"origin": snapshot.origin.value}
        await self._connection.execute(insert(tables.snapshots).values(values))

    async def get(self, snapshot_id: str) -> Snapshot | None:
        found = await self._found(_snapshot.id == snapshot_id)
        return found[0] if found else None

    async def of(self, owner: str) -> Sequence[Snapshot]:
        return await self._found(_snapshot.owner == owner)

    async def of_tenant(self, tenant: str) -> Sequence[Snapshot]:
        return await self._found(_snapshot.tenant == tenant)

    async def drop(self, snapshot_ids: Collection[str]) -> None:
        await self._connection.execute(delete(tables.snapshots).where(_snapshot.id.in_(snapshot_ids)))

    async def state(self, owner: str) -> BackupState | None:
        row = (await self._connection.execute(select(tables.backup_states).where(_state.owner == owner))).first()
        return None if row is None else _state_of(row)

    async def put_state(self, state: BackupState) -> None:
        await self._connection.execute(delete(tables.backup_states).where(_state.owner == state.owner))
        values = {each.name: getattr(state, each.name) for each in fields(BackupState)}
        values |= {name: None if values[name] is None else stamp(values[name]) for name in _STATE_MOMENTS}
        values |= {"good": as_json(state.good), "mended": as_json(state.mended)}
        values |= {"error": None if state.error is None else as_json(state.error)}
        await self._connection.execute(insert(tables.backup_states).values(values))

    async def states(self, *, after: str = "", limit: int | None = None) -> Mapping[str, BackupState]:
        query = select(tables.backup_states).where(_state.owner > after).order_by(_state.owner).limit(limit)
        return {row.owner: _state_of(row) for row in await self._connection.execute(query)}

    async def drop_owner(self, owner: str) -> None:
        await self._connection.execute(delete(tables.snapshots).where(_snapshot.owner == owner))
        await self._connection.execute(delete(tables.backup_states).where(_state.owner == owner))

    async def _found(self, condition: ColumnElement[bool]) -> list[Snapshot]:
        query = select(tables.snapshots).where(condition).order_by(_snapshot.taken_at.desc(), _snapshot.id.desc())
        return [_snapshot_of(row) for row in await self._connection.execute(query)]


_STATE_MOMENTS = ("tried_at", "alerted_at", "pruned_at")


def _snapshot_of(row: AnyRow) -> Snapshot:
    values: dict[str, Any] = dict(row._mapping)
    values |= {name: moment_or_none(values[name]) for name in _MOMENTS}
    values |= {name: json.loads(values[name]) for name in _MAPPINGS}
    return Snapshot(**values | {"origin": Origin(values["origin"])})


def _state_of(row: AnyRow) -> BackupState:
    values: dict[str, Any] = dict(row._mapping)
    values |= {name: moment_or_none(values[name]) for name in _STATE_MOMENTS}
    values |= {
        name: {target: moment(at) for target, at in json.loads(values[name]).items()} for name in ("good", "mended")
    }
    error = Trouble(**json.loads(values["error"])) if values["error"] else None
    return BackupState(**values | {"error": error})
