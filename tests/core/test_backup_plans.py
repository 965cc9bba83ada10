"""When a backup is due: missed ones are caught up, clocks may be turned, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from innkeeper.core.backup_plans import BackupPlan, Keep, Standing, plan_from, standing
from innkeeper.core.errors import InvalidSpec
from innkeeper.core.snapshots import BackupState

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NIGHT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
PLAN = BackupPlan(spread_h=0)
BORN = NIGHT - 30 * DAY
BOTH = ("local", "remote")


def stands(now: datetime, *, since: datetime = BORN, plan: BackupPlan = PLAN, **state: Any) -> Standing:
    return standing(
        plan, BackupState(owner="tn_1", tenant="a", **state), owner="tn_1", since=since, targets=BOTH, now=now
    )


def good(at: datetime, remote: datetime | None = None) -> Mapping[str, datetime]:
    return {"local": at, "remote": remote or at}


def test_it_is_due_once_a_night() -> None:
    assert not stands(NIGHT - HOUR, good=good(NIGHT - DAY)).due
    assert stands(NIGHT, good=good(NIGHT - DAY)).due
    after = stands(NIGHT + HOUR, good=good(NIGHT + timedelta(minutes=1)))
    assert (after.due, after.late, after.next_due) == (False, False, NIGHT + DAY)


def test_what_is_missing_at_one_target_is_due_too() -> None:
    found = stands(NIGHT + HOUR, good=good(NIGHT + HOUR, remote=NIGHT - DAY))
    assert found.due
    assert found.last_good == NIGHT + HOUR
    assert stands(NIGHT + HOUR, good={"local": NIGHT + HOUR}).due, "a target that is new"


def test_missed_runs_are_caught_up_at_once() -> None:
    found = stands(NIGHT + 5 * HOUR, good=good(NIGHT - 3 * DAY))
    assert found.due
    assert found.late


def test_who_was_created_today_has_time_until_the_next_night() -> None:
    assert not stands(NIGHT + 2 * HOUR, since=NIGHT + HOUR).due
    assert stands(NIGHT + DAY, since=NIGHT + HOUR).due


def test_failures_are_tried_again_with_growing_pauses() -> None:
    for failures, pause in ((1, timedelta(minutes=5)), (2, timedelta(minutes=10)), (60, timedelta(hours=2))):
        tried: dict[str, Any] = {"good": good(NIGHT - DAY), "failures": failures, "tried_at": NIGHT}
        assert not stands(NIGHT + pause - timedelta(seconds=1), **tried).due
        assert stands(NIGHT + pause, **tried).due


def test_a_clock_set_back_neither_repeats_nor_leaves_a_gap() -> None:
    assert not stands(NIGHT + HOUR, good=good(NIGHT + 2 * HOUR)).due, "done an hour from now"
    assert not stands(NIGHT - HOUR, good=good(NIGHT + 2 * HOUR)).due
    assert stands(NIGHT + HOUR, good=good(NIGHT + 4000 * DAY)).due, "done in ten years' time"
    assert stands(NIGHT, since=NIGHT + 4000 * DAY, good=good(NIGHT + 4000 * DAY)).due
    tried: dict[str, Any] = {"good": good(NIGHT - DAY), "failures": 5, "tried_at": NIGHT + 4000 * DAY}
    assert stands(NIGHT, **tried).due, "the pause after a failure doesn't last for ten years"


def test_it_is_late_half_a_day_after_and_the_next_night_at_the_latest() -> None:
    assert not stands(NIGHT + 11 * HOUR, good=good(NIGHT - DAY)).late
    assert stands(NIGHT + 13 * HOUR, good=good(NIGHT - DAY)).late
    assert stands(NIGHT + DAY, good=good(NIGHT - DAY)).late
    often = replace(PLAN, every_h=2)
    assert stands(NIGHT + timedelta(minutes=61), plan=often, good=good(NIGHT - HOUR)).late


def test_never_is_never() -> None:
    assert stands(NIGHT, plan=replace(PLAN, every_h=0)) == Standing(
        last_good=None, due=False, late=False, next_due=None
    )
    assert not standing(PLAN, None, owner="tn_1", since=BORN, targets=(), now=NIGHT).due


@given(some.text(min_size=1), some.floats(0, 24), some.integers(0, 10**9))
def test_each_has_a_moment_of_its_own_within_the_spread(owner: str, spread_h: float, seconds: int) -> None:
    plan = BackupPlan(spread_h=spread_h)
    now = NIGHT + timedelta(seconds=seconds)
    slot = plan.slot(owner, now)
    assert slot is not None
    assert slot <= now < slot + DAY
    assert timedelta(0) <= (slot - NIGHT) % DAY <= timedelta(hours=spread_h)
    assert plan.slot(owner, slot) == slot
    assert plan.next_slot(owner, now) == slot + DAY


def test_a_thousand_are_spread_evenly() -> None:
    slots = [BackupPlan().slot(f"tn_{number}", NIGHT + DAY - HOUR) for number in range(1000)]
    quarters = [sum(1 for slot in slots if slot and (slot - NIGHT) // (HOUR / 2) == each) for each in range(4)]
    assert sum(quarters) == 1000
    assert min(quarters) > 180


def test_a_plan_says_what_differs() -> None:
    base = plan_from({"at": "01:30", "keep_remote": {"daily": 90}})
    plan = plan_from({"every_h": 6, "keep_local": {"daily": 2, "weekly": 4}}, base=base)
    assert (plan.at_minute, plan.every_h) == (90, 6)
    assert plan.keep == {"local": Keep(daily=2, weekly=4), "remote": Keep(daily=90)}


@pytest.mark.parametrize(
    "said",
    [
        {"at": "25:00"},
        {"at": 3},
        {"every_h": 0.5},
        {"every_h": "daily"},
        {"every_h": True},
        {"spread_h": -1},
        {"keep_local": {"hourly": 3}},
        {"keep_local": {}},
        {"keep_local": 7},
        {"keep_remote": {"daily": -1}},
        {"keep": {"daily": 1}},
    ],
)
def test_what_cant_be_is_refused(said: Mapping[str, Any]) -> None:
    with pytest.raises(InvalidSpec):
        plan_from(said)
