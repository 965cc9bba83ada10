"""Rows to the core's dataclasses and back; both SQL drivers share every line of it."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Row

from innkeeper.core.access import ActorKind, TenantKey
from innkeeper.core.audit import Entry
from innkeeper.core.instance import State
from innkeeper.core.kept_json import as_json, inbox_of, spec_of
from innkeeper.core.kept_json import moment as moment
from innkeeper.core.kept_json import spec_document as spec_document
from innkeeper.core.kept_json import stamp as stamp
from innkeeper.core.ladder import Rung
from innkeeper.core.messages import Message, MessageState
from innkeeper.core.operations import Operation, OperationKind, Progress, Status, Trouble
from innkeeper.core.past import NOTHING, Past
from innkeeper.core.ports import Receipt
from innkeeper.core.release import Release
from innkeeper.core.tenant import Seen, Tenant, Wanted
from innkeeper.core.trail import COLUMNS, Line
from innkeeper.store import tables

AnyRow = Row[*tuple[Any, ...]]

TENANT = [column for column in tables.tenants.c if not column.name.startswith("lease_") and column.name != "state"]
"""What `tenant_of` wants selected, in its order."""


def changing_values(tenant: Tenant) -> dict[str, object]:
    """The columns of a tenant that a use case may change."""
    return {
        "revision": tenant.revision,
        "remade_at": tenant.remade_at,
        "wanted": tenant.wanted.value,
        "rung": tenant.rung.value,
        "purge": tenant.purge,
        "token_epoch": tenant.token_epoch,
        "closed": tenant.closed,
        "fenced": tenant.fenced,
        "spec": as_json(tenant.spec),
    }


def tenant_values(tenant: Tenant) -> dict[str, object]:
    """A whole row."""
    return {
        "name": tenant.name,
        "id": tenant.id,
        "slot": tenant.slot,
        "created_at": stamp(tenant.created_at),
        "born_as": tenant.born_as,
        "last_activity": _stamp_or_none(tenant.last_activity),
        **changing_values(tenant),
        **seen_values(tenant.seen),
        "past": None if tenant.past == NOTHING else past_text(tenant.past),
    }


def seen_values(seen: Seen) -> dict[str, object]:
    """The columns that hold what was seen."""
    return {"seen": as_json(seen), "state": seen.state.value}


def tenant_of(row: AnyRow) -> Tenant:
    """A tenant from the columns `TENANT`."""
    (
        name,
        id_,
        slot,
        created_at,
        revision,
        remade_at,
        wanted,
        rung,
        purge,
        token_epoch,
        last_activity,
        spec,
        seen,
        past,
        closed,
        fenced,
        born_as,
    ) = row
    return Tenant(
        name=name,
        id=id_,
        slot=slot,
        created_at=moment(created_at),
        revision=revision,
        remade_at=remade_at,
        wanted=Wanted(wanted),
        rung=Rung(rung),
        purge=purge,
        token_epoch=token_epoch,
        last_activity=moment_or_none(last_activity),
        spec=_spec_of(spec),
        seen=_seen_of(seen),
        past=_past_of(past) if past else NOTHING,
        closed=closed,
        fenced=bool(fenced),
        born_as=born_as,
    )


# Thousands of tenants share a few specs and, at rest, a few ways to be seen; reading all of them is mostly this.
_spec_of = lru_cache(maxsize=4096)(spec_of)


@lru_cache(maxsize=4096)
def _seen_of(text: str) -> Seen:
    kept = json.loads(text)
    return Seen(
        **kept
        | {
            "state": State(kept["state"]),
            "crashes": tuple(map(moment, kept["crashes"])),
            "started_at": moment_or_none(kept["started_at"]),
            "next_wake": moment_or_none(kept.get("next_wake")),
            "missed_since": moment_or_none(kept.get("missed_since")),
            "owed_runs": tuple((job, times) for job, times in kept.get("owed_runs", ())),
            "webhooks": inbox_of(kept.get("webhooks", ())),
        }
    )


def past_text(past: Past) -> str:
    """What was measured, as it is kept."""
    return as_json(past)


def _past_of(text: str) -> Past:
    return Past(
        **{
            name: {Rung(rung): tuple(figures) for rung, figures in by_rung.items()}
            for name, by_rung in json.loads(text).items()
        }
    )


def operation_values(operation: Operation) -> dict[str, object]:
    """A whole row."""
    return {
        **vars(operation),
        "kind": operation.kind.value,
        "status": operation.status.value,
        "created_at": stamp(operation.created_at),
        "updated_at": stamp(operation.updated_at),
        "deadline": stamp(operation.deadline),
        "progress": as_json(operation.progress),
        "error": operation.error and as_json(operation.error),
        "detail": as_json(operation.detail) if operation.detail else None,
    }


def operation_of(row: AnyRow) -> Operation:
    """An operation from its whole row."""
    return Operation(
        id=row.id,
        kind=OperationKind(row.kind),
        tenant=row.tenant,
        tenant_id=row.tenant_id,
        revision=row.revision,
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
        deadline=moment(row.deadline),
        status=Status(row.status),
        progress=Progress(**json.loads(row.progress)),
        error=Trouble(**json.loads(row.error)) if row.error else None,
        detail=json.loads(row.detail) if row.detail else {},
    )


def stamped(thing: TenantKey | Receipt | Release) -> dict[str, object]:
    """A whole row of what has `created_at` and otherwise plain fields."""
    return {**vars(thing), "created_at": stamp(thing.created_at)}


def key_values(key: TenantKey) -> dict[str, object]:
    """A whole row."""
    return {**stamped(key), "expires_at": _stamp_or_none(key.expires_at)}


def key_of(row: AnyRow) -> TenantKey:
    """A tenant key from its whole row."""
    moments = {"created_at": moment(row.created_at), "expires_at": moment_or_none(row.expires_at)}
    return TenantKey(**{**row._mapping, **moments})


def receipt_of(row: AnyRow) -> Receipt:
    """A receipt from its whole row."""
    return Receipt(**{**row._mapping, "created_at": moment(row.created_at)})


def release_of(row: AnyRow) -> Release:
    """A release from its whole row."""
    return Release(**{**row._mapping, "created_at": moment(row.created_at)})


MESSAGE = [column for column in tables.messages.c if column.name != "sealed"]
"""What `message_of` wants selected: never the payload."""


def message_values(message: Message) -> dict[str, object]:
    """A whole row but for its number, which the database gives, and its payload."""
    moments = {name: _stamp_or_none(getattr(message, name)) for name in _MESSAGE_MOMENTS}
    values = {**vars(message), **moments, "state": message.state.value}
    del values["number"]
    return values


def message_of(row: AnyRow) -> Message:
    """A message from the columns `MESSAGE`."""
    fields = dict(row._mapping)
    moments = {name: moment_or_none(fields[name]) for name in _MESSAGE_MOMENTS}
    return Message(**{**fields, **moments, "state": MessageState(fields["state"])})


_MESSAGE_MOMENTS = ("received_at", "next_attempt_at", "attempt_at", "ended_at")


def entry_values(entry: Entry) -> dict[str, object]:
    """A whole row but for its number and its link."""
    changed = {name: None if (told := getattr(entry, name)) is None else as_json(told) for name in ("before", "after")}
    return {**vars(entry), "at": stamp(entry.at), "kind": entry.kind.value, "detail": as_json(entry.detail), **changed}


def entry_of(line: Line) -> Entry:
    """What a line of the trail says, as it was written."""
    fields: dict[str, Any] = dict(zip(COLUMNS, line.texts, strict=True))
    told = {name: json.loads(fields[name]) for name in ("detail", "before", "after") if fields[name] is not None}
    return Entry(**fields | told | {"at": moment(fields["at"]), "kind": ActorKind(fields["kind"])})


def _stamp_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)


def moment_or_none(text: str | None) -> datetime | None:
    """The moment, where there is one."""
    return None if text is None else moment(text)
