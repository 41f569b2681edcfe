"""An earlier file of results against a new one."""

import random

import attrs
import pytest

from hubbub.bench.invariants import Verdict
from hubbub.bench.report import Result, merged
from hubbub.bench.report.compare import Basis, Change, Comparison, compare
from hubbub.bench.scenarios import FANOUT_A, FANOUT_B

from .results import make, make_runs, with_machine

FIVE = (1.0, 1.01, 0.99, 1.02, 0.98)


def repeated(**figures: float) -> Result:
    return merged(make_runs(*({name: value * wobble for name, value in figures.items()} for wobble in FIVE)))


def changes(comparison: Comparison) -> dict[str, Change]:
    return {each.figure: each.change for each in comparison.differences}


@pytest.mark.parametrize(
    ("figure", "factor", "change"),
    [
        ("delivery_p99_ms", 1.2, Change.WORSE),
        ("delivery_p99_ms", 0.8, Change.BETTER),
        ("deliveries_per_s", 1.2, Change.BETTER),
        ("deliveries_per_s", 0.8, Change.WORSE),
        ("postgres_percent", 1.2, Change.CHANGED),
        ("delivery_p99_ms", 1.005, Change.SAME),
    ],
)
def test_a_change_has_a_direction(figure: str, factor: float, change: Change) -> None:
    """More deliveries are better, more milliseconds worse, more CPU of Postgres neither."""
    (comparison,) = compare([repeated(**{figure: 20.0})], [repeated(**{figure: 20.0 * factor})])
    (difference,) = comparison.differences
    assert (difference.change, difference.basis) == (change, Basis.RUNS)
    assert difference.ratio == pytest.approx(factor)
    assert comparison.regressed == (change is Change.WORSE)


def seconds(mean: float, seed: int) -> list[float | None]:
    rng = random.Random(seed)
    return [mean * rng.uniform(0.95, 1.05) for _ in range(20)]


def single(mean: float, seed: int) -> Result:
    return make({"delivery_p99_ms": mean, "delivery_max_ms": mean}, series={"delivery_p99_ms": seconds(mean, seed)})


def test_single_runs_take_their_noise_from_the_seconds() -> None:
    """A figure with a series is judged by it; one without is shown and not judged."""
    (comparison,) = compare([single(20, 1)], [single(26, 2)])
    assert changes(comparison) == {"delivery_p99_ms": Change.WORSE, "delivery_max_ms": Change.UNKNOWN}
    assert [each.basis for each in comparison.differences] == [Basis.SECONDS, Basis.NOTHING]
    (calm,) = compare([single(20, 1)], [single(20, 2)])
    assert changes(calm)["delivery_p99_ms"] is Change.SAME


def test_seconds_that_contradict_the_figure_give_no_verdict() -> None:
    """The whole run got better and its seconds worse: neither is claimed."""
    new = attrs.evolve(single(26, 2), figures=make({"delivery_p99_ms": 15.0}).figures)
    (comparison,) = compare([single(20, 1)], [new])
    assert changes(comparison) == {"delivery_p99_ms": Change.UNKNOWN}


def test_results_are_matched_by_their_load() -> None:
    """The order and the names in the earlier file do not matter, and the length of a run does not either."""
    a, b = make(scenario=FANOUT_A), make(scenario=attrs.evolve(FANOUT_B, seconds=5, name="other"))
    first, second = compare([b, a], [make(scenario=FANOUT_A), make(scenario=FANOUT_B)])
    assert (first.old, second.old) == (a, b)
    assert first.doubts == ()
    assert second.doubts == ("scenario: seconds was 5, is 20",)


def test_another_load_is_refused_and_named() -> None:
    """No figure of 500 readers is held against one of 2,000."""
    (comparison,) = compare([make(scenario=attrs.evolve(FANOUT_B, subscribers=500))], [make()])
    assert comparison.differences == ()
    assert comparison.refused == "not the same load as the earlier B: subscribers was 500, is 2000"
    (comparison,) = compare([make(scenario=FANOUT_A)], [make()])
    assert comparison.refused == "the earlier file has no such scenario, only A"


def test_what_may_explain_a_change_is_told() -> None:
    """Another machine, other settings, invalid runs on either side."""
    old = with_machine(make(cpu_percent=95), cores=64)
    new = attrs.evolve(make(), options={"seed": 1, "processes": 3})
    (comparison,) = compare([old], [new])
    assert comparison.doubts == (
        f"machine: cores was 64, is {new.machine.cores}",
        "option processes was 1, is 3",
        "the earlier run is invalid: generator 0 used 95 % of a core: the server may do better",
    )


def test_an_invariant_that_breaks_now_is_a_regression() -> None:
    """Without any noise to think of; what was broken before is none."""
    (comparison,) = compare([make(verdict=Verdict(duplicated=1))], [make(verdict=Verdict(duplicated=2, lost=1))])
    assert (comparison.newly_broken, comparison.regressed) == (("lost",), True)


def test_a_figure_that_was_zero_has_no_ratio() -> None:
    """Nothing is divided by it."""
    (comparison,) = compare([make({"postgres_percent": 0.0})], [make({"postgres_percent": 3.0})])
    (difference,) = comparison.differences
    assert (difference.ratio, difference.change) == (None, Change.UNKNOWN)
