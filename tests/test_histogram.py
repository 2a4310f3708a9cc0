"""Quantiles of durations, against those of the sorted durations themselves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conveyor._engine.histogram import ACCURACY, Histogram

durations = st.floats(min_value=1e-9, max_value=1e7)
#: Rounding beside the one per cent.
SLACK = 1e-9


def histogram_of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(st.lists(durations, min_size=1), st.floats(0, 1))
def test_quantiles_are_right_to_one_per_cent(values: list[float], fraction: float) -> None:
    """The duration at that place in the sorted list, from nanoseconds to months."""
    exact = sorted(values)[int(fraction * (len(values) - 1))]
    quantile = histogram_of(values).quantile(fraction)
    assert abs(quantile - exact) <= (ACCURACY + SLACK) * exact


@given(st.lists(durations, min_size=1))
def test_quantiles_rise_up_to_the_longest(values: list[float]) -> None:
    """More of them are below a higher one; none is longer than the longest duration."""
    histogram = histogram_of(values)
    quantiles = [histogram.quantile(step / 10) for step in range(11)]
    assert quantiles == sorted(quantiles)
    assert quantiles[-1] <= histogram.longest == max(values)
    assert histogram.count == len(values)


def test_a_quantile_is_that_of_all_that_came() -> None:
    """A hundred times one second and once a thousand: the median is not pulled up."""
    histogram = histogram_of([1.0] * 100 + [1000.0])
    assert abs(histogram.quantile(0.5) - 1) <= 0.01 + SLACK
    assert abs(histogram.quantile(0.99) - 1) <= 0.01 + SLACK
    assert histogram.quantile(1) >= 990
    assert histogram.longest == 1000


def test_nothing_has_no_duration() -> None:
    """Without durations every quantile is 0, and so it is if all of them took no time."""
    assert Histogram().quantile(0.5) == Histogram().longest == 0
    assert histogram_of([0.0, 0.0]).quantile(0.5) == 0


def test_its_size_is_bounded() -> None:
    """From a nanosecond to three weeks, however many durations there are."""
    histogram = Histogram()
    value = 1e-12
    while value < 2e6:
        histogram.add(value)
        value *= 1.001
    assert histogram.count > 35_000
    assert len(histogram._buckets) < 2000
