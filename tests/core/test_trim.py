"""Trimming: who is due, and when everybody is left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from innkeeper.core.instance import Usage
from innkeeper.core.ports import MemoryNow
from innkeeper.core.trim import LONGEST_REST, QUIET_FOR, Trimmed, is_due, next_trim, why_not_now

MB = 1 << 20
READY = datetime(2026, 11, 20, 12, tzinfo=UTC)
DONE = Trimmed(
    at=READY + timedelta(minutes=1), resident_bytes=250 * MB, swapped_bytes=700 * MB, faults=0, rest=QUIET_FOR
)
HOST = MemoryNow(total_mb=8000, available_mb=4000, swap_mb=4000, swap_free_mb=3000)


def due(seconds: float, *, used: float | None = None, trimmed: Trimmed | None = None) -> bool:
    last = None if used is None else READY + timedelta(seconds=used)
    now = READY + timedelta(seconds=seconds)
    return is_due(ready_since=READY, last_activity=last, trimmed=trimmed, first_after=timedelta(seconds=60), now=now)


def test_for_the_first_time_a_minute_after_it_is_ready_when_nobody_uses_it() -> None:
    assert not due(59)
    assert due(60)
    assert due(60, used=54)
    assert not due(60, used=58)
    assert not due(60, used=90), "the clock was set back"


def test_again_when_it_was_used_since_and_has_been_quiet() -> None:
    assert not due(3600, trimmed=DONE), "nothing has happened since"
    assert not due(3600, used=3590, trimmed=DONE)
    assert due(3600, used=3500, trimmed=DONE)
    assert not due(100, used=35, trimmed=replace(DONE, at=READY + timedelta(seconds=90)))


def usage(resident_mb: int, faults: int) -> Usage:
    return Usage(memory_bytes=0, rss_bytes=resident_mb * MB, swap_bytes=0, cpu_s=0, pids=1, major_faults=faults)


def test_whoever_fetches_back_what_was_taken_is_left_alone_for_longer_and_longer() -> None:
    trimmed, now = DONE, DONE.at
    for _ in range(20):
        now += trimmed.rest
        busy = usage(900, trimmed.faults + int(200 * trimmed.rest.total_seconds()))
        rested = next_trim(trimmed, busy, busy, now)
        assert rested.rest == min(LONGEST_REST, trimmed.rest * 2)
        trimmed = rested
    calm = usage(300, trimmed.faults + 10)
    assert next_trim(trimmed, calm, calm, now + trimmed.rest).rest == LONGEST_REST / 2


def test_the_first_trim_is_no_ones_fault() -> None:
    assert next_trim(None, usage(900, 10**6), usage(200, 10**6), READY).rest == QUIET_FOR


@pytest.mark.parametrize(("resident_mb", "grown"), [(250, False), (281, False), (300, False), (313, True), (900, True)])
def test_a_little_more_isnt_worth_another_trim(resident_mb: int, grown: bool) -> None:
    assert DONE.grown(resident_mb * MB) is grown


@pytest.mark.parametrize(
    ("host", "why"),
    [
        (HOST, None),
        (replace(HOST, swap_free_mb=399), "only 399 of 4000 MB of swap are free"),
        (replace(HOST, stalled_share=0.05), None),
        (replace(HOST, stalled_share=0.11), "11% of the time somebody waits for memory"),
        (replace(HOST, swapped_in_pages=HOST.swapped_in_pages + 50_000), None),
        (replace(HOST, swapped_in_pages=HOST.swapped_in_pages + 60_000), "6000 pages a second"),
        (replace(HOST, swapped_in_pages=HOST.swapped_in_pages + 60_000, stalled_share=0.0), None),
    ],
)
def test_under_pressure_nobody_is_trimmed(host: MemoryNow, why: str | None) -> None:
    found = why_not_now(host, HOST, 10)
    assert found is None if why is None else (found is not None and why in found)


def test_nothing_can_be_said_of_a_rate_at_first() -> None:
    assert why_not_now(replace(HOST, swapped_in_pages=10**9), None, 0) is None
