"""Idleness: a pure function of facts and clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core.idle import due
from innkeeper.core.instance import State
from innkeeper.core.ladder import Rung, SleepPolicy, rung_after
from innkeeper.core.tenant import Limits, Seen, Spec, Tenant, Wanted

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)
POLICY = SleepPolicy(pause_after_s=300, page_after_s=None, stop_after_s=3600)
SPEC = Spec(agent="plain", release="1", image="sha256:1", limits=Limits(memory_mb=128, cpus=1), sleep=POLICY)
AWAKE = Tenant(
    id="tn_1",
    name="alice",
    spec=SPEC,
    slot=0,
    created_at=LONG_AGO,
    seen=Seen(state=State.RUNNING, ready=True, started_at=LONG_AGO),
)


def put_down(tenant: Tenant, idle_s: float) -> Rung | None:
    found = due([tenant], lambda _: NOW - timedelta(seconds=idle_s), NOW)
    return found[0].rung if found else None


@pytest.mark.parametrize(
    ("idle_s", "rung"), [(0, None), (299, None), (300, Rung.PAUSED), (3599, Rung.PAUSED), (3600, Rung.STOPPED)]
)
def test_each_rung_comes_at_its_time(idle_s: float, rung: Rung | None) -> None:
    assert put_down(AWAKE, idle_s) is rung


def test_a_sleeper_goes_deeper_and_never_back_up() -> None:
    paused = replace(AWAKE, rung=Rung.PAUSED)
    assert put_down(paused, 1000) is None
    assert put_down(paused, 3600) is Rung.STOPPED
    assert put_down(replace(AWAKE, rung=Rung.STOPPED), 10**6) is None


def test_whoever_was_just_started_gets_a_whole_window() -> None:
    started = replace(AWAKE, seen=replace(AWAKE.seen, started_at=NOW - timedelta(seconds=10)))
    assert put_down(started, 10**6) is None


def test_nobody_sleeps_who_isnt_to_or_isnt_there_yet() -> None:
    assert put_down(replace(AWAKE, wanted=Wanted.AWAKE), 10**6) is None
    assert put_down(replace(AWAKE, wanted=Wanted.GONE), 10**6) is None
    starting = replace(AWAKE, seen=replace(AWAKE.seen, ready=False, state=State.STARTING))
    assert put_down(starting, 10**6) is None


def test_a_rung_that_is_off_is_skipped() -> None:
    never = replace(SPEC, sleep=SleepPolicy(pause_after_s=None, page_after_s=None, stop_after_s=None))
    assert put_down(replace(AWAKE, spec=never), 10**6) is None
    only_stop = replace(SPEC, sleep=SleepPolicy(pause_after_s=None, page_after_s=None, stop_after_s=60))
    assert put_down(replace(AWAKE, spec=only_stop), 59) is None
    assert put_down(replace(AWAKE, spec=only_stop), 60) is Rung.STOPPED


@given(st.floats(0, 10**7), st.floats(0, 10**7))
def test_longer_idle_is_never_less_deep(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert rung_after(POLICY, less).depth <= rung_after(POLICY, more).depth


def test_what_the_host_cant_offer_is_skipped() -> None:
    policy = SleepPolicy(pause_after_s=10, page_after_s=20, save_after_s=30, stop_after_s=40)
    missing = (Rung.PAGED, Rung.SAVED)
    assert [rung_after(policy, idle_s, missing=missing) for idle_s in (10, 20, 30, 40)] == [
        Rung.PAUSED,
        Rung.PAUSED,
        Rung.PAUSED,
        Rung.STOPPED,
    ]
    assert [rung_after(policy, idle_s) for idle_s in (10, 20, 30)] == [Rung.PAUSED, Rung.PAGED, Rung.SAVED]


def test_windows_count_in_steps_where_they_are_checked_in_steps() -> None:
    policy = SleepPolicy(pause_after_s=60, check_every_s=60)
    checked = replace(AWAKE, spec=replace(SPEC, sleep=policy))
    on_the_minute = NOW.replace(second=0)
    for second, rung in ((59, None), (60, Rung.PAUSED)):
        now = on_the_minute + timedelta(seconds=60 + second)
        found = due([checked], lambda _: on_the_minute + timedelta(seconds=30), now)
        assert (found[0].rung if found else None) is rung
