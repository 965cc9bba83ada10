"""When who is backed up, and for how long that is kept: said by the settings, and by plans where they say otherwise."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from innkeeper.core.errors import InvalidSpec
from innkeeper.core.ports.snapshots import LOCAL, REMOTE
from innkeeper.core.snapshots import BackupState
from innkeeper.core.tenant import Tenant

_AT = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_SAID = ("at", "every_h", "spread_h", "keep_local", "keep_remote")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RETRY_FIRST, RETRY_MOST = timedelta(minutes=5), timedelta(hours=2)
LATE_AFTER = timedelta(hours=12)
"""At the most; half of the time between two backups where that is less."""


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How many of the latest days, weeks and months that have a snapshot keep their last one."""

    daily: int = 0
    weekly: int = 0
    monthly: int = 0


@dataclass(frozen=True, kw_only=True)
class BackupPlan:
    """When snapshots are taken, and which of them are kept."""

    at_minute: int = 3 * 60
    """Of the day, in UTC."""
    every_h: float = 24.0
    """0: never by itself."""
    spread_h: float = 2.0
    """Over so much time after that they begin, each at a moment of its own."""
    keep: Mapping[str, Keep] = field(default_factory=lambda: {LOCAL: Keep(daily=7), REMOTE: Keep(daily=30)})
    """By target."""

    @property
    def period(self) -> timedelta:
        """The time between two."""
        return timedelta(hours=self.every_h)

    def slot(self, owner: str, now: datetime) -> datetime | None:
        """The last moment up to now at which one was to be taken; None: never."""
        if not self.every_h:
            return None
        spread_s = min(self.spread_h, self.every_h) * 3600
        share = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8]) / 2**64
        first = _EPOCH + timedelta(minutes=self.at_minute, seconds=spread_s * share)
        found: datetime = first + (now - first) // self.period * self.period
        return found

    def next_slot(self, owner: str, now: datetime) -> datetime | None:
        """The next one after now; None: never."""
        slot = self.slot(owner, now)
        return None if slot is None else slot + self.period


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the backups of one owner stand at one moment."""

    last_good: datetime | None
    """The newest moment that can be had back."""
    due: bool
    """One is to be taken now, or copied."""
    late: bool
    """One should have been, some time ago."""
    next_due: datetime | None


def standing(
    plan: BackupPlan, state: BackupState | None, *, owner: str, since: datetime, targets: Sequence[str], now: datetime
) -> Standing:
    """How it stands with who is there `since`, where snapshots go to all of these targets.

    A missed one is due until it is taken. A clock that was set back takes none twice, and one that had been far ahead
    leaves no gap: what lies more than a period in the future is no moment that was backed up.
    """
    slot = plan.slot(owner, now)
    good = state.good if state is not None else {}
    last_good = max((at for target, at in good.items() if target in targets), default=None)
    if slot is None or not targets:
        return Standing(last_good=last_good, due=False, late=False, next_due=None)
    covered = min(good.get(target, since) for target in targets)
    if covered > now + plan.period:
        covered = since if since <= now else slot - 2 * plan.period
    missing = covered < slot
    grace = min(LATE_AFTER, plan.period / 2)
    late = missing and (now - slot > grace or covered < slot - plan.period)
    retry = _retry_at(state, now) if missing else None
    next_due = (retry or slot) if missing else slot + plan.period
    return Standing(last_good=last_good, due=missing and next_due <= now, late=late, next_due=next_due)


def _retry_at(state: BackupState | None, now: datetime) -> datetime | None:
    if state is None or not state.failures or state.tried_at is None or state.tried_at > now:
        return None
    return state.tried_at + min(RETRY_MOST, RETRY_FIRST * (1 << min(state.failures - 1, 16)))


@dataclass(frozen=True, kw_only=True)
class BackupPlans:
    """What holds for whom."""

    default: BackupPlan = field(default_factory=BackupPlan)
    by_plan: Mapping[str, BackupPlan] = field(default_factory=dict)
    """Of plans that say something of their own."""

    def of(self, tenant: Tenant) -> BackupPlan:
        """The tenant's."""
        return self.by_plan.get(tenant.spec.uses.plan or "", self.default)


# --- as it is said ----------------------------------------------------------------------------------------------------


def backup_plans_from(default: BackupPlan, plans: Mapping[str, Mapping[str, Any]]) -> BackupPlans:
    """With what the settings' plans say; raises InvalidSpec."""
    said = {name: plan["backup"] for name, plan in plans.items() if isinstance(plan.get("backup"), Mapping)}
    return BackupPlans(
        default=default,
        by_plan={name: plan_from(each, base=default, where=f"plans.{name}.backup") for name, each in said.items()},
    )


def plan_from(said: Any, *, base: BackupPlan | None = None, where: str = "backup") -> BackupPlan:
    """The plan with what is said over `base`; raises InvalidSpec."""
    if not isinstance(said, Mapping):
        raise InvalidSpec("It says when, and for how long that is kept.", field=where, hint='{at = "03:00"}')
    for unknown in said.keys() - set(_SAID):
        raise InvalidSpec(f"A backup plan can't say {str(unknown)[:40]!r}.", field=where, hint=f"{', '.join(_SAID)}.")
    plan = base or BackupPlan()
    if "at" in said:
        found = _AT.fullmatch(str(said["at"]))
        if found is None:
            raise InvalidSpec(f"{str(said['at'])[:40]!r} is no time of day.", field=f"{where}.at", hint="Like 03:00.")
        plan = replace(plan, at_minute=int(found[1]) * 60 + int(found[2]))
    if "every_h" in said:
        plan = replace(plan, every_h=_number(said["every_h"], 0, 24 * 31, f"{where}.every_h"))
        if 0 < plan.every_h < 1:
            raise InvalidSpec("Once an hour is the most.", field=f"{where}.every_h", hint="0 means never.")
    if "spread_h" in said:
        plan = replace(plan, spread_h=_number(said["spread_h"], 0, 24, f"{where}.spread_h"))
    keep = dict(plan.keep)
    for target in (LOCAL, REMOTE):
        if (name := f"keep_{target}") in said:
            keep[target] = _keep(said[name], f"{where}.{name}")
    return replace(plan, keep=keep)


def _keep(said: object, where: str) -> Keep:
    known = {each.name for each in fields(Keep)}
    if not isinstance(said, Mapping) or said.keys() - known:
        raise InvalidSpec("It says how many days, weeks and months.", field=where, hint="{daily = 7, monthly = 3}")
    kept = Keep(**{name: int(_number(value, 0, 1000, f"{where}.{name}")) for name, value in said.items()})
    if kept == Keep():
        raise InvalidSpec("Nothing would be kept.", field=where, hint="{daily = 7}")
    return kept


def _number(value: object, least: float, most: float, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidSpec(f"{str(value)[:40]!r} isn't a number from {least:g} to {most:g}.", field=where)
    return float(value)
