"""Histograms against the naive count."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.histogram import Histogram

bounds = st.lists(st.integers(-50, 50), min_size=1, max_size=8, unique=True).map(sorted)


@given(bounds, st.lists(st.integers(-100, 100)))
def test_buckets_hold_what_a_naive_count_finds(bounds: list[int], values: list[int]) -> None:
    """Each value is in one bucket: the first whose bound it does not exceed."""
    histogram = Histogram(bounds)
    for value in values:
        histogram.note(value)
    found = histogram.read()
    assert found.running() == [sum(value <= bound for value in values) for bound in [*bounds, math.inf]]
    assert (found.count, found.total) == (len(values), sum(values))


@pytest.mark.parametrize("bounds", [(), (1, 1), (2, 1)])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    """Bounds that could not be told apart are a mistake in the program."""
    with pytest.raises(ValueError, match="rise"):
        Histogram(bounds)


def test_a_look_is_a_copy() -> None:
    """What was read does not change with what is counted later."""
    histogram = Histogram((1.0,))
    before = histogram.read()
    histogram.note(0.5)
    assert (before.count, histogram.read().count) == (0, 1)
