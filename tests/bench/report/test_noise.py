"""Telling a change from noise: exact cases, laws, and simulated noise."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.report.compare import FLOOR_OF_RUNS, FLOOR_OF_SECONDS
from hubbub.bench.report.noise import LEAST_BATCH, LEAST_BATCHES, batches, quantile, ratio_of

positive = st.floats(1e-3, 1e6)
observations = st.lists(positive, min_size=3, max_size=8)


def wandering(rng: random.Random, count: int, mean: float, resemblance: float, sd: float = 0.06) -> list[float]:
    """Log-normal noise in which a second resembles the one before."""
    step, values = rng.gauss(0, sd), []
    for _ in range(count):
        step = resemblance * step + rng.gauss(0, sd) * math.sqrt(1 - resemblance**2)
        values.append(mean * math.exp(step))
    return values


@pytest.mark.parametrize(
    ("degrees", "table"), [(1, 63.657), (2, 9.925), (4, 4.604), (8, 3.355), (30, 2.750), (1000, 2.581)]
)
def test_the_quantile_is_that_of_the_tables(degrees: int, table: float) -> None:
    """Student's distribution, two sides, 99 %."""
    assert quantile(0.99, degrees) == pytest.approx(table, rel=1e-3)


@pytest.mark.parametrize("count", [15, 20, 60])
@pytest.mark.parametrize("resemblance", [0.0, 0.5])
def test_equal_runs_are_called_equal_and_a_fifth_a_change(count: int, resemblance: float) -> None:
    """Of 150 pairs of series few are called different that are not; a shift of 20 % is seen nearly always, and its direction."""
    rng = random.Random(7)
    alarms = seen = 0
    for _ in range(150):
        old, same = (batches(wandering(rng, count, 10, resemblance)) for _ in range(2))
        slower = batches(wandering(rng, count, 12, resemblance))
        calm, shifted = ratio_of(old, same), ratio_of(old, slower)
        assert calm is not None
        assert shifted is not None
        alarms += calm.beyond(FLOOR_OF_SECONDS)
        seen += shifted.beyond(FLOOR_OF_SECONDS) and shifted.low > 1
    assert alarms <= 6
    assert seen >= (110 if count == 15 else 130)


def test_five_runs_each_tell_a_fifth() -> None:
    """Repeats of a machine that differs by 4 % from run to run."""
    rng = random.Random(11)
    alarms = seen = 0
    for _ in range(200):
        old, same = (wandering(rng, 5, 10, 0, 0.04) for _ in range(2))
        calm, shifted = ratio_of(old, same), ratio_of(old, wandering(rng, 5, 12, 0, 0.04))
        assert calm is not None
        assert shifted is not None
        alarms += calm.beyond(FLOOR_OF_RUNS)
        seen += shifted.beyond(FLOOR_OF_RUNS)
    assert alarms <= 6
    assert seen >= 190


@given(observations)
def test_a_run_is_equal_to_itself(values: list[float]) -> None:
    """Whatever the noise."""
    interval = ratio_of(values, values)
    assert interval is not None
    assert not interval.beyond(0)


@given(observations, observations)
def test_the_other_way_round_is_the_inverse(old: list[float], new: list[float]) -> None:
    """Old against new says the same as new against old."""
    forth, back = ratio_of(old, new), ratio_of(new, old)
    assert forth is not None
    assert back is not None
    assert forth.beyond(FLOOR_OF_RUNS) == back.beyond(FLOOR_OF_RUNS)
    assert forth.low == pytest.approx(1 / back.high, rel=1e-6)


@given(observations, observations, st.floats(0.01, 100))
def test_the_unit_does_not_matter(old: list[float], new: list[float], factor: float) -> None:
    """Milliseconds or seconds, the interval of the ratio is the same."""
    plain, scaled = ratio_of(old, new), ratio_of([factor * value for value in old], [factor * value for value in new])
    assert plain is not None
    assert scaled is not None
    assert scaled.low == pytest.approx(plain.low, rel=1e-3)


def test_runs_without_noise_differ_by_what_they_differ() -> None:
    """A change of 3 % of a figure that never varies is one; a change of 1 % is below the floor."""
    changed, less = ratio_of([100.0] * 3, [103.0] * 3), ratio_of([100.0] * 3, [101.0] * 3)
    assert changed is not None
    assert less is not None
    assert changed.beyond(FLOOR_OF_RUNS)
    assert not less.beyond(FLOOR_OF_RUNS)


@pytest.mark.parametrize(
    ("old", "new"), [([1, 2], [1, 2, 3]), ([], []), ([1, 2, 0], [1, 2, 3]), ([1, 2, math.inf], [1, 2, 3])]
)
def test_too_little_is_no_answer(old: list[float], new: list[float]) -> None:
    """Two runs, or values that have no logarithm, give no interval."""
    assert ratio_of(old, new) is None


@given(st.lists(st.none() | positive, max_size=200))
def test_batches_are_equal_stretches(values: list[float | None]) -> None:
    """At least five of at least three seconds, or none; their means lie within the values."""
    seen = [value for value in values if value is not None]
    found = batches(values)
    assert bool(found) == (len(seen) >= LEAST_BATCH * LEAST_BATCHES)
    assert not found or LEAST_BATCHES <= len(found) <= 10
    assert all(min(seen) * 0.999 <= value <= max(seen) * 1.001 for value in found)
