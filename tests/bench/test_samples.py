"""Medians and percentiles."""

from __future__ import annotations

import pytest

from bench.samples import percentile, samples


def test_the_median_needs_no_order() -> None:
    assert samples([3, 1, 2]).p50 == 2
    assert samples([4, 1, 2, 3]).p50 == 2.5


@pytest.mark.parametrize(("percent", "value"), [(1, 1), (50, 10), (95, 19), (96, 20), (100, 20)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert percentile(tuple(range(1, 21)), percent) == value


def test_a_few_values_have_no_95th_percentile() -> None:
    assert samples(range(19)).p95 is None
    assert samples(range(20)).p95 == 18


def test_nothing_measured_is_no_sample() -> None:
    with pytest.raises(ValueError, match="nothing"):
        samples([])
