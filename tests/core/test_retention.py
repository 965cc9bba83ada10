"""Which snapshots stay: days, weeks, months, and whatever must never go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from innkeeper.core.backup_plans import Keep
from innkeeper.core.retention import to_drop
from innkeeper.core.snapshots import Origin, Snapshot, newest_good

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def snapshot(age_days: float, **said: Any) -> Snapshot:
    at = NOW - age_days * DAY
    fields = {
        "id": f"snap_{age_days:09.3f}",
        "owner": "tn_1",
        "tenant": "a",
        "taken_at": at,
        "confirmed_at": at,
        "origin": Origin.SCHEDULE,
        "copies": {"local": "aa", "remote": "bb"},
        "verified_at": at,
    }
    return Snapshot(**{**fields, **said})


def dropped(snapshots: list[Snapshot], keep: Keep, **more: Any) -> list[str]:
    return [each.id for each in to_drop(snapshots, "local", keep, now=NOW, **more)]


def nights(count: int) -> list[Snapshot]:
    return [snapshot(0.3 + age) for age in range(count)]


def test_a_week_of_days() -> None:
    assert dropped(nights(10), Keep(daily=7)) == [each.id for each in nights(10)[7:]]


def test_days_without_one_dont_count() -> None:
    found = [snapshot(age) for age in (1, 3, 90, 200)]
    assert dropped(found, Keep(daily=3)) == [found[3].id]


def test_of_a_day_the_last_one_stays() -> None:
    early, late = snapshot(3.3), snapshot(3.1)
    assert dropped([early, late, snapshot(1)], Keep(daily=7)) == [early.id]


def test_weeks_and_months_reach_further() -> None:
    left = {each.id for each in nights(400)} - set(dropped(nights(400), Keep(daily=7, weekly=4, monthly=12)))
    assert 7 + 3 + 10 <= len(left) <= 7 + 4 + 12


def test_what_was_asked_for_lately_stays() -> None:
    found = [snapshot(0.1), snapshot(0.2), snapshot(0.3)]
    assert dropped(found, Keep(daily=1)) == []


def test_one_that_was_found_unchanged_stands_for_those_days() -> None:
    old = snapshot(40, confirmed_at=NOW - 3 * DAY)
    assert dropped([old, snapshot(1)], Keep(daily=7)) == []
    assert dropped([old, snapshot(1), snapshot(2)], Keep(daily=2)) == [old.id]


def test_the_newest_good_one_never_goes() -> None:
    alone = snapshot(400)
    bad = [snapshot(5, damaged="broken"), snapshot(6, verified_at=None)]
    assert dropped([alone, *bad], Keep(daily=1)) == [each.id for each in bad]
    assert dropped(bad, Keep(daily=1)) == [], "where there is none, the bad ones are all there is"
    elsewhere = snapshot(1, copies={"remote": "cc"})
    assert dropped([elsewhere, alone], Keep(daily=1)) == [], "it is the newest good one here"


def test_the_newest_proven_one_and_what_is_needed_never_go() -> None:
    proven = [snapshot(50, proven_at=NOW), snapshot(60, proven_at=NOW)]
    needed = snapshot(70, kept_for="op_1")
    found = [snapshot(1), *proven, needed]
    assert dropped(found, Keep(daily=1), needed_by={"op_1"}) == [proven[1].id]
    assert dropped(found, Keep(daily=1)) == [proven[1].id, needed.id]


def _any() -> some.SearchStrategy[list[Snapshot]]:
    one = some.builds(
        snapshot,
        some.floats(-5, 500),
        damaged=some.sampled_from([None, None, "x"]),
        verified_at=some.sampled_from([None, NOW, NOW]),
        proven_at=some.sampled_from([None, None, NOW]),
    )
    return some.lists(one, max_size=40, unique_by=lambda each: each.id)


@given(_any(), some.builds(Keep, daily=some.integers(0, 9), weekly=some.integers(0, 3), monthly=some.integers(0, 3)))
def test_whatever_there_is_the_newest_good_one_is_left(found: list[Snapshot], keep: Keep) -> None:
    gone = {each.id for each in to_drop(found, "local", keep, now=NOW)}
    left = [each for each in found if each.id not in gone]
    assert newest_good(left) == newest_good(found)
    assert bool(left) == bool(found)
    assert list(_again(left, keep)) == [], "dropping settles"


def _again(left: list[Snapshot], keep: Keep) -> Iterator[str]:
    yield from (each.id for each in to_drop(left, "local", keep, now=NOW))


def test_what_was_found_after_a_loss_isnt_dropped_for_the_first_new_one() -> None:
    found = [snapshot(0.3 + age, origin=Origin.FOUND, verified_at=None) for age in range(1, 10)]
    assert dropped([snapshot(0.1), *found], Keep(daily=7)) == [each.id for each in found[6:]]


def test_of_a_day_one_that_was_looked_through_goes_before_one_that_was_found() -> None:
    good, found = snapshot(3.3), snapshot(3.1, origin=Origin.FOUND, verified_at=None)
    assert dropped([good, found, snapshot(1)], Keep(daily=7)) == [found.id]
