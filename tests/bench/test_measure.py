"""The histogram against sorted lists of what was recorded."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.measure import MAX_VALUE, RELATIVE_ERROR, Histogram

values = st.lists(st.integers(0, 1 << 20) | st.integers(0, MAX_VALUE), min_size=1, max_size=200)
percents = st.floats(0, 100)


def recorded(numbers: list[int]) -> Histogram:
    histogram = Histogram()
    for number in numbers:
        histogram.record(number)
    return histogram


@given(values, percents)
def test_percentiles_keep_the_relative_error(numbers: list[int], percent: float) -> None:
    """A percentile is within the promised relative error of the nearest-rank value."""
    exact = sorted(numbers)[max(1, math.ceil(percent / 100 * len(numbers))) - 1]
    assert abs(recorded(numbers).percentile(percent) - exact) <= exact * RELATIVE_ERROR


@given(values, values)
def test_merge_is_recording_everything_in_one(left: list[int], right: list[int]) -> None:
    """Merging two histograms equals one that recorded both lists."""
    assert recorded(left).merge(recorded(right)) == recorded(left + right)


@given(values)
def test_count_sum_and_ends_are_exact(numbers: list[int]) -> None:
    """Count, sum, least and greatest are those of the list."""
    histogram = recorded(numbers)
    got = (histogram.count, histogram.total, histogram.least, histogram.greatest)
    assert got == (len(numbers), sum(numbers), min(numbers), max(numbers))


@pytest.mark.parametrize("value", [-1, MAX_VALUE + 1])
def test_a_value_out_of_range_is_refused_and_not_counted(value: int) -> None:
    """A refused value leaves the histogram as it was."""
    histogram = Histogram()
    with pytest.raises(ValueError, match="out of range"):
        histogram.record(value)
    assert histogram == Histogram()


def test_an_empty_histogram_reads_zero() -> None:
    """Nothing recorded gives zeros and no error."""
    summary = Histogram().summary_ms()
    assert (summary.count, summary.p50, summary.p99, summary.max) == (0, 0, 0, 0)


def test_buckets_are_bounded() -> None:
    """Values all over the range need no more buckets than promised."""
    histogram = Histogram()
    for shift in range(62):
        for part in range(256):
            histogram.record(min(MAX_VALUE, (1 << shift) + (part << shift >> 8)))
    assert len(histogram.counts) <= 7_200
