"""Percentiles, ratios and rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import median_ratio, percentile, rate

FIGURES = st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=200)


@given(values=FIGURES, percent=st.integers(min_value=1, max_value=100))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[float], percent: int) -> None:
    found = percentile(values, percent)

    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_the_p95_of_a_hundred_is_the_95th() -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], 95) == 95.0


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_what_has_no_percentile_is_refused(values: list[float], percent: int) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


def test_rounds_are_compared_with_their_own_peer_so_that_a_slow_minute_counts_for_both() -> None:
    assert median_ratio([800.0, 80.0, 900.0], [100.0, 10.0, 90.0]) == 8.0


def test_a_missing_round_is_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1.0, 2.0], [1.0])


def test_a_rate_is_taken_from_the_first_to_the_last_end() -> None:
    assert rate([12.0, 10.0, 11.0]) == 1.0


@pytest.mark.parametrize("ends", [[], [1.0], [1.0, 1.0]])
def test_what_has_no_duration_has_no_rate(ends: list[float]) -> None:
    with pytest.raises(ValueError, match="rate"):
        rate(ends)
