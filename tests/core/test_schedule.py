"""Schedules: read, checked, and held against the clock, daylight saving included."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from innkeeper.core.errors import InvalidSpec
from innkeeper.core.schedule import SCHEDULES_MAX, awake_until, check, next_begin, parse

OFFICE = "awake 08:00\u201318:00 Mon\u2013Fri Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-20 06:59:59", None),  # a Friday; Berlin is an hour ahead in winter
        ("2026-11-20 07:00", "2026-11-20 17:00"),
        ("2026-11-20 16:59:59", "2026-11-20 17:00"),
        ("2026-11-20 17:00", None),
        ("2026-11-21 12:00", None),
        ("2026-07-01 06:00", "2026-07-01 16:00"),  # two hours in summer
    ],
)
def test_office_hours(now: str, until: str | None) -> None:
    found = awake_until([OFFICE], at(now))
    assert found == ((OFFICE, at(until)) if until else None)


def test_the_next_window_opens_after_the_weekend() -> None:
    assert next_begin([OFFICE], at("2026-11-20 12:00")) == at("2026-11-23 07:00")
    assert next_begin([], at("2026-11-20 12:00")) is None


def test_the_clocks_change_and_the_window_with_them() -> None:
    assert next_begin(["awake 08:00-18:00 Europe/Berlin"], at("2026-10-24 20:00")) == at("2026-10-25 07:00")
    assert next_begin(["awake 08:00-18:00 Europe/Berlin"], at("2026-10-23 20:00")) == at("2026-10-24 06:00")


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    night = "awake 22:00-06:00 Fri"
    assert awake_until([night], at("2026-11-21 05:59")) == (night, at("2026-11-21 06:00"))
    assert awake_until([night], at("2026-11-20 05:59")) is None


def test_of_several_the_longest_counts() -> None:
    lines = ["awake 08:00-10:00", "awake 09:00-12:00"]
    assert awake_until(lines, at("2026-11-20 09:30")) == (lines[1], at("2026-11-20 12:00"))


def test_a_whole_day_and_days_one_by_one() -> None:
    assert awake_until(["awake 00:00-24:00 Sat,Sun"], at("2026-11-22 23:59")) is not None
    assert awake_until(["awake 00:00-24:00 Sat,Sun"], at("2026-11-23 00:00")) is None
    assert parse("awake 08:00-18:00 UTC").days == frozenset(range(7))
    assert parse("awake 1:00-2:00 Sat-Mon, thu").days == frozenset({5, 6, 0, 3})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("awake 08:00-08:00", "never matches"),
        ("awake 25:00-26:00", "isn't a time"),
        ("awake 24:00-08:00", "isn't a time"),
        ("awake 08:60-09:00", "isn't a time"),
        ("awake 08:00-18:00 Mon-Fry", "no time zone"),
        ("awake 08:00-18:00 Mon-Fri Europe/Atlantis", "no time zone"),
        ("awake 08:00-18:00 ../../etc/passwd", "no time zone"),
        ("awake 08:00-18:00 Europe", "no time zone"),
        ("awake", "can't be read"),
        ("asleep 08:00-18:00", "can't be read"),
        ("awake 08:00-18:00 Mon Europe/Berlin and more", "can't be read"),
        ("", "can't be read"),
    ],
)
def test_what_cant_be_meant(line: str, says: str) -> None:
    with pytest.raises(InvalidSpec, match=says) as caught:
        check([line])
    assert caught.value.field == "sleep.schedule"


def test_there_is_an_end_to_schedules() -> None:
    with pytest.raises(InvalidSpec, match="too many"):
        check(["awake 08:00-09:00"] * (SCHEDULES_MAX + 1))
