"""Slopes and verdicts: a known leak is found, noise and levelling off are not blamed."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.bench.soak_trend import LEAST_POINTS, MOST_POINTS, Trend, judge, slope_of

STEP_S = 5.0
SEEDS = st.integers(0, 2**32)


def times(count: int) -> list[float]:
    return [number * STEP_S for number in range(count)]


def wandering(rng: Random, count: int, alike: float, spread: float) -> list[float]:
    """Noise in which each value resembles the one before; `spread` is that of the whole."""
    step = spread * math.sqrt(1 - alike**2)
    value, values = rng.gauss(0, spread), []
    for _ in range(count):
        values.append(value)
        value = alike * value + rng.gauss(0, step)
    return values


def leaking(values: list[float], per_h: float) -> list[float]:
    return [value + per_h * at / 3600 for at, value in zip(times(len(values)), values, strict=True)]


@given(st.integers(3, 60), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_straight_line_has_its_own_slope(count: int, base: float, per_h: float) -> None:
    """Without noise the slope is exact, its interval too."""
    slope = slope_of(times(count), leaking([base] * count, per_h))
    close = pytest.approx(per_h, rel=1e-6, abs=1e-3)
    assert (slope.low, slope.per_h, slope.high) == (close, close, close)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from([0.0, 0.5, 0.8]), st.sampled_from([1.0, 3.0, 10.0]))
def test_a_known_leak_is_found(seed: int, alike: float, ratio: float) -> None:
    """Ten minutes of a leak of 60 units an hour, in noise of up to a unit, at a tolerance of 6."""
    values = leaking(wandering(Random(seed), 120, alike, ratio / 10), 60.0)
    found = judge(times(120), values, 6.0)
    assert found.trend is Trend.LEAKS
    assert found.slope.low <= found.slope.per_h <= found.slope.high


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from([0.0, 0.5, 0.8]))
def test_noise_is_no_leak(seed: int, alike: float) -> None:
    """An hour of noise of a unit, at a tolerance of 6 units an hour."""
    assert judge(times(720), wandering(Random(seed), 720, alike, 1.0), 6.0).trend is not Trend.LEAKS


def test_false_alarms_are_rare_even_without_a_tolerance() -> None:
    """Of 300 series of noise that resembles itself at most one in twelve is blamed, where plain Theil-Sen blames a third."""
    rng = Random(7)
    blamed = sum(judge(times(96), wandering(rng, 96, 0.9, 1.0), 0.0).trend is Trend.LEAKS for _ in range(300))
    assert blamed <= 25


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.floats(5.0, 100.0))
def test_what_levels_off_is_no_leak(seed: int, height: float) -> None:
    """Memory that fills in the first part and then stays has risen, and does not leak."""
    noise = wandering(Random(seed), 240, 0.0, 0.2)
    values = [value + height * (1 - math.exp(-at / 100)) for at, value in zip(times(240), noise, strict=True)]
    assert judge(times(240), values, 6.0).trend is not Trend.LEAKS


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(10, 110))
def test_one_step_is_no_leak(seed: int, at: int) -> None:
    """An allocator takes another arena, once."""
    noise = wandering(Random(seed), 120, 0.0, 0.2)
    values = [value + (8.0 if number >= at else 0.0) for number, value in enumerate(noise)]
    assert judge(times(120), values, 6.0).trend is not Trend.LEAKS


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_wild_points_do_not_matter(seed: int) -> None:
    """A tenth of the samples is off by a thousand: a flat series stays unblamed, a leak is found."""
    rng = Random(seed)
    noise = wandering(rng, 240, 0.0, 0.3)
    wild = [value + (1_000 if rng.random() < 0.1 else 0) for value in noise]
    assert judge(times(240), wild, 6.0).trend is not Trend.LEAKS
    assert judge(times(240), leaking(wild, 100.0), 6.0).trend is Trend.LEAKS


@given(st.floats(-1e9, 1e9), st.integers(LEAST_POINTS, 40))
def test_a_constant_is_flat(value: float, count: int) -> None:
    """Also at a tolerance of nothing."""
    assert judge(times(count), [value] * count, 0.0).trend is Trend.FLAT


def test_a_falling_series_is_flat() -> None:
    """Memory that is given back is no leak."""
    assert judge(times(60), leaking([100.0] * 60, -500.0), 1.0).trend is Trend.FLAT


def test_a_short_run_may_be_unclear() -> None:
    """Noise that could hide a leak is said to."""
    assert judge(times(20), wandering(Random(3), 20, 0.0, 5.0), 1.0).trend is Trend.UNCLEAR


def test_a_day_of_samples_is_thinned() -> None:
    """The pairs would be a hundred million; the slope stays."""
    count = 10 * MOST_POINTS
    slope = slope_of(times(count), leaking(wandering(Random(1), count, 0.0, 1.0), 12.0))
    assert slope.low < 12.0 < slope.high
    assert slope.high - slope.low < 1.0


def test_too_few_samples_are_refused() -> None:
    """And so are values without times."""
    for count, values in ((LEAST_POINTS - 1, LEAST_POINTS - 1), (20, 19)):
        with pytest.raises(ValueError, match="are needed"):
            judge(times(count), [0.0] * values, 1.0)
