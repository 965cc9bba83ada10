"""How things are written down as JSON, and specs read again: in the store, in backups."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime
from typing import Any

from innkeeper.core.ladder import MissedRuns, SleepPolicy
from innkeeper.core.openings import InboxPath
from innkeeper.core.tenant import Access, CustomAgent, Limits, Mode, Spec
from innkeeper.core.uses_reading import uses_of


def stamp(moment: datetime) -> str:
    """A moment as it is kept: UTC, always of the same width."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """The moment that was kept so."""
    return datetime.fromisoformat(text)


def as_json(thing: object) -> str:
    """The thing as it is kept."""
    return json.dumps(thing, default=_plain, separators=(",", ":"))


def spec_document(spec: Spec) -> dict[str, Any]:
    """A spec as it is kept, to be part of another document."""
    document: dict[str, Any] = json.loads(as_json(spec))
    return document


def spec_of(text: str) -> Spec:
    """The spec that was kept so, also by an earlier version of ours."""
    kept = json.loads(text)
    custom = kept["custom"]
    return Spec(
        **kept
        | {
            "limits": Limits(**kept["limits"]),
            "mode": Mode(kept["mode"]),
            "sleep": _policy_of(kept["sleep"]),
            "hostnames": tuple(kept["hostnames"]),
            "access": Access(kept["access"]),
            "custom": custom and CustomAgent(**custom | {"command": tuple(custom["command"])}),
            "public_paths": tuple(kept.get("public_paths", ())),
            "inbox": inbox_of(kept.get("inbox", ())),
            "uses": uses_of(kept.get("uses") or {}),
            "packs": tuple(kept.get("packs", ())),
        }
    )


def inbox_of(kept: Iterable[dict[str, Any]]) -> tuple[InboxPath, ...]:
    """The inbox paths that were kept so."""
    return tuple(InboxPath(**each) for each in kept)


def _policy_of(kept: dict[str, Any]) -> SleepPolicy:
    missed_runs = MissedRuns(kept.pop("missed_runs", MissedRuns.RUN_ONCE))
    schedule = tuple(kept.pop("schedule", ()))
    return SleepPolicy(**kept, missed_runs=missed_runs, schedule=schedule)


def _plain(thing: object) -> object:
    if isinstance(thing, datetime):
        return stamp(thing)
    if isinstance(thing, Mapping):
        return dict(thing)
    if is_dataclass(thing):
        return vars(thing)
    raise TypeError(f"{type(thing).__name__} can't be kept as JSON")
