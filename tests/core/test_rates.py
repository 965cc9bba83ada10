"""So many calls a minute and no more, however they are spread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from innkeeper.core.rates import SWEEP_AT, RateLimits, whole_seconds


class Turned:
    """Seconds that pass when they are told to."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 100), st.lists(st.floats(0, 30), max_size=200))
def test_never_more_than_a_bucket_and_what_flowed_in(per_minute: int, pauses: list[float]) -> None:
    time = Turned()
    rates = RateLimits(seconds=time)
    passed = 0
    for pause in pauses:
        time.now += pause
        passed += rates.take("a", per_minute) == 0
    assert passed <= per_minute + sum(pauses) * per_minute / 60 + 1e-3


@given(st.integers(1, 1000))
def test_who_waits_as_long_as_they_were_told_may_call(per_minute: int) -> None:
    time = Turned()
    rates = RateLimits(seconds=time)
    while (wait_s := rates.take("a", per_minute)) == 0:
        pass
    time.now += whole_seconds(wait_s)
    assert rates.take("a", per_minute) == 0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    time = Turned()
    rates = RateLimits(seconds=time)
    assert rates.take("a", 1) == 0
    time.now -= 3600
    assert rates.take("a", 1) > 0


def test_a_changed_limit_counts_at_once_and_fills_no_bucket() -> None:
    rates = RateLimits(seconds=Turned())
    assert [rates.take("a", 10) for _ in range(8)] == [0] * 8
    assert [rates.take("a", 1) == 0 for _ in range(3)] == [True, False, False]
    assert rates.take("a", 1000) > 0
    assert rates.take("b", 1) == 0, "another's bucket is its own"


def test_full_buckets_are_forgotten() -> None:
    time = Turned()
    rates = RateLimits(seconds=time)
    for number in range(10 * SWEEP_AT):
        time.now += 1
        rates.take(f"tenant-{number}", 60)
    assert rates.kept <= SWEEP_AT
