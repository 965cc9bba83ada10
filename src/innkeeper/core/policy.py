"""From what a caller asks of a tenant's sleep to a whole, valid policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from innkeeper.core import schedule
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.ladder import FIELDS, PRESETS, WINDOWS, MissedRuns, SleepPolicy, timing

WINDOW_MAX_S = 365 * 86400
STEP_MAX_S = 86400
DEADLINE_MIN_S, DEADLINE_MAX_S = 0.1, 600.0

Presets = Mapping[str, SleepPolicy]


def changed_policy(before: SleepPolicy, asked: Mapping[str, Any], presets: Presets = PRESETS) -> SleepPolicy:
    """`before` with what was asked for over it: a preset first, then what is said one by one; raises InvalidSpec."""
    for name in asked.keys() - set(FIELDS):
        raise InvalidSpec(
            f"There is no {name[:40]!r} in a sleep policy.",
            field=f"sleep.{name[:40]}",
            hint=f"There are: {', '.join(FIELDS)}.",
        )
    said = dict(asked)
    changed = _with_preset(before, said.pop("preset", None), presets)
    if said.get("missed_runs") is not None:
        said["missed_runs"] = _missed_runs(said["missed_runs"])
    if said.get("schedule") is not None:
        said["schedule"] = tuple(said["schedule"])
    for name in ("missed_runs", "schedule", "despite_channels"):  # they have no "never": null means as if unsaid
        if name in said and said[name] is None:
            said[name] = getattr(SleepPolicy(), name)
    changed = replace(changed, **said)
    changed = replace(changed, **_given_way(changed, said))
    _check_windows(changed)
    schedule.check(changed.schedule)
    if changed.wake_deadline_s is not None and not DEADLINE_MIN_S <= changed.wake_deadline_s <= DEADLINE_MAX_S:
        raise InvalidSpec(
            f"A request can't wait for {changed.wake_deadline_s:g} s.",
            field="sleep.wake_deadline_s",
            hint=f"Give {DEADLINE_MIN_S:g} to {DEADLINE_MAX_S:g} seconds, or null for the installation's own.",
        )
    return changed


def presets_from(texts: Mapping[str, Mapping[str, Any]]) -> Presets:
    """The presets that come with Innkeeper, and those that the settings add or say otherwise; raises InvalidSpec."""
    found = dict(PRESETS)
    for name, asked in texts.items():
        for field in asked.keys() - timing(SleepPolicy()).keys():
            raise InvalidSpec(f"The preset {name!r} can't set {field!r}.", field=f"presets.{name}")
        # TOML has no null.
        said = {field: None if value == "never" else value for field, value in asked.items()}
        try:
            found[name] = changed_policy(found.get(name, SleepPolicy()), said)
        except InvalidSpec as problem:
            raise InvalidSpec(
                f"In the preset {name!r}: {problem.message}", field=problem.field, hint=problem.hint
            ) from None
    return {name: replace(policy, preset=name) for name, policy in found.items()}


def _with_preset(before: SleepPolicy, name: str | None, presets: Presets) -> SleepPolicy:
    if name is None:
        return before
    if name not in presets:
        raise InvalidSpec(
            f"There is no preset {name[:40]!r}.", field="sleep.preset", hint=f"There are: {', '.join(presets)}."
        )
    return replace(before, **timing(presets[name]), preset=name)


def _missed_runs(text: str) -> MissedRuns:
    try:
        return MissedRuns(text)
    except ValueError:
        raise InvalidSpec(
            f"{str(text)[:40]!r} says nothing about missed runs.",
            field="sleep.missed_runs",
            hint=f"There are: {', '.join(MissedRuns)}.",
        ) from None


def _given_way(policy: SleepPolicy, said: Mapping[str, Any]) -> dict[str, Any]:
    """Rungs that nobody asked for give way where they would come too late."""
    given_way: dict[str, Any] = {}
    latest: int = WINDOW_MAX_S
    for name in reversed(WINDOWS):
        value: int | None = getattr(policy, name)
        if name in said:
            latest = min(latest, value if value is not None else latest)
        elif value is not None and value > latest:
            given_way[name] = None
    return given_way


def _check_windows(policy: SleepPolicy) -> None:
    before, what = 0, ""
    for name in WINDOWS:
        value: int | None = getattr(policy, name)
        if value is None:
            continue
        if not 0 < value <= WINDOW_MAX_S:
            raise InvalidSpec(
                f"{name} can't be {value}.",
                field=f"sleep.{name}",
                hint=f"Give 1 to {WINDOW_MAX_S} seconds, or null to skip this rung.",
            )
        if value < before:
            raise InvalidSpec(
                f"{name} ({value} s) comes before {what} ({before} s).",
                field=f"sleep.{name}",
                hint=f"Each rung must come after the one above it: say {name} as well, or null to skip that rung.",
            )
        before, what = value, name
    if policy.check_every_s is not None and not 0 < policy.check_every_s <= STEP_MAX_S:
        raise InvalidSpec(
            f"check_every_s can't be {policy.check_every_s}.",
            field="sleep.check_every_s",
            hint=f"Give 1 to {STEP_MAX_S} seconds, or null for as often as the sweep comes by.",
        )
