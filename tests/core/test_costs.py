"""Costs: what was measured is told as that, and nothing else is."""

from __future__ import annotations

import pytest

from innkeeper.core.costs import HOW, NAMES, UNKNOWN, Costs, Figure, Sightings, Source, costs_of, measured, stated
from innkeeper.core.hosts import NOTHING_COMPRESSED
from innkeeper.core.ladder import Rung
from innkeeper.core.past import NOTHING, Past, together

NO_ZRAM = Figure(source=Source.MISSING)
TWO_TO_ONE = measured([2.0], "")


def costs(past: Past = NOTHING, seen: Sightings | None = None, zram_ratio: Figure = NO_ZRAM) -> Costs:
    return costs_of(past, seen or Sightings(), limit_mb=2048, cpus=2, zram_ratio=zram_ratio)


def test_of_a_fresh_host_nothing_is_measured_and_everything_says_how_it_would_be() -> None:
    found = costs()
    for name in NAMES:
        figure = getattr(found, name)
        assert figure.samples == 0
        assert figure.source in (Source.MISSING, Source.ASSUMED), name
        assert figure.says, name
    assert set(HOW) == set(NAMES)
    assert UNKNOWN.awake_mb.mean is None


def test_the_agents_own_limit_stands_in_and_says_so() -> None:
    found = costs()
    assert (found.awake_mb.mean, found.awake_mb.source) == (2048, Source.ASSUMED)
    assert "its limit" in (found.awake_mb.says or "")
    assert found.paged_mb.mean is None


def test_figures_are_of_the_rung_that_they_were_measured_on() -> None:
    past = (
        NOTHING.with_peak(Rung.STOPPED, 1000, same_stay=False)
        .with_peak(Rung.STOPPED, 1200, same_stay=False)
        .with_peak(Rung.PAGED, 290, same_stay=False)
        .with_peak(Rung.RUNNING, 310, same_stay=False)
        .with_rest(Rung.PAUSED, 990, 0)
        .with_rest(Rung.PAGED, 30, 960)
        .with_wake(Rung.PAGED, 0.6)
        .with_wake(Rung.STOPPED, 8)
        .with_wake(Rung.STOPPED, 12)
    )
    found = costs(together([past, past]), zram_ratio=TWO_TO_ONE)
    assert (found.awake_mb.mean, found.awake_mb.worst, found.awake_mb.samples) == (1100, 1200, 4)
    assert found.awake_mb.source is Source.MEASURED
    assert (found.returned_mb.mean, found.trimmed_mb.mean, found.paused_mb.mean) == (290, 310, 990)
    assert (found.paged_mb.mean, found.swapped_mb.mean, found.zram_mb.mean) == (30, 960, 480)
    assert (found.wake_s(Rung.STOPPED).usual, found.wake_s(Rung.STOPPED).worst) == (10, 12)
    assert found.wake_s(Rung.SAVED).source is Source.MISSING


def test_a_cold_start_takes_at_most_all_processors_all_the_time() -> None:
    found = costs(NOTHING.with_wake(Rung.STOPPED, 8))
    assert (found.cold_cpu_s.mean, found.cold_cpu_s.source) == (16, Source.BOUND)
    assert costs().cold_cpu_s.source is Source.MISSING


@pytest.mark.parametrize(
    ("ratio", "zram_mb", "source"),
    [(TWO_TO_ONE, 400, Source.MEASURED), (NOTHING_COMPRESSED, 800, Source.ASSUMED), (NO_ZRAM, None, Source.MISSING)],
)
def test_zram_counts_as_it_compresses_here(ratio: Figure, zram_mb: float | None, source: Source) -> None:
    found = costs(NOTHING.with_rest(Rung.PAGED, 30, 800), zram_ratio=ratio)
    assert (found.zram_mb.mean, found.zram_mb.source) == (zram_mb, source)


def test_what_is_given_wins_and_is_called_given() -> None:
    found = costs(NOTHING.with_wake(Rung.STOPPED, 8)).with_given({"awake_mb": 450, "wake_stopped_s": 2.5}, cpus=4)
    assert found.awake_mb == stated(Source.GIVEN, 450)
    assert (found.cold_cpu_s.mean, found.cold_cpu_s.source) == (10, Source.BOUND)
    assert found.paused_mb.mean == 2048
    given = found.with_given({"cold_cpu_s": 3, "wake_stopped_s": 1}, cpus=4)
    assert given.cold_cpu_s == stated(Source.GIVEN, 3)


def test_who_says_what_zram_takes_says_what_was_swapped_too() -> None:
    given = UNKNOWN.with_given({"awake_mb": 450, "paged_mb": 50, "zram_mb": 100}, cpus=1)
    assert (given.swapped_mb.mean, given.swapped_mb.source) == (400, Source.ASSUMED)
    measured_out = costs(NOTHING.with_rest(Rung.PAGED, 30, 800)).with_given({"zram_mb": 100}, cpus=1)
    assert (measured_out.swapped_mb.mean, measured_out.swapped_mb.source) == (800, Source.MEASURED)
