"""Results as values and as JSON."""

from pathlib import Path

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hubbub.bench
from hubbub.bench.errors import BenchError
from hubbub.bench.invariants import Verdict
from hubbub.bench.measure import RELATIVE_ERROR, Histogram
from hubbub.bench.report import Curve, Result, Spread, merged, read_results, to_json
from hubbub.bench.report.result import SCHEMA
from hubbub.bench.scenarios import FANOUT_B

from .results import FIGURES, make, make_runs


def test_json_is_read_back_as_it_was() -> None:
    """What `to_json` writes, series, curves and repeats included, `read_results` gives back; written again, it is the same."""
    single = make(series={"delivery_p99_ms": [20.0, None, 21.5]}, notes=("one <b>note</b>",))
    read = read_results(to_json([single, merged(make_runs(FIGURES, FIGURES, FIGURES))]))
    assert read_results(to_json(read)) == read
    assert read[0].series[0].values == [20.0, None, 21.5]
    assert read[0].curves[0].points[-1][0] == 100
    assert [(figure.name, figure.value) for figure in read[0].figures] == list(FIGURES.items())
    assert (read[0].verdict, read[0].machine, read[0].notes) == (single.verdict, single.machine, single.notes)
    assert [len(result.runs) for result in read] == [0, 3]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no file of results"),
        (b"\xff\xfe", "no file of results"),
        (b'{"schema": 2}', "no file of results"),
        (b"[]", "holds no results"),
        (b'[{"schema": 1, "figures": []}]', "results of schema 1"),
        (b'[{"schema": 2, "figures": []}]', "no file of results"),
    ],
)
def test_a_foreign_file_is_refused_with_a_reason(data: bytes, said: str) -> None:
    """What is no file of results, or one of another schema, is an error that says so."""
    with pytest.raises(BenchError, match=said):
        read_results(data)


def test_a_result_with_a_missing_field_is_refused() -> None:
    """No default hides that a file was cut or edited."""
    (entry,) = msgspec.json.decode(to_json([make()]))
    assert entry["schema"] == SCHEMA
    del entry["verdict"]
    with pytest.raises(BenchError, match="verdict"):
        read_results(msgspec.json.encode([entry]))


def test_a_bound_generator_or_a_disturbed_machine_makes_a_run_invalid() -> None:
    """Each reason is told, and without one the run is valid."""
    assert (make().valid, make().invalid_because) == (True, ())
    bound = make(cpu_percent=97)
    assert (bound.valid, bound.generator_bound) == (False, True)
    assert bound.invalid_because == ("generator 0 used 97 % of a core: the server may do better",)
    disturbed = make(invalid_because=("disturbed",))
    assert (disturbed.valid, disturbed.generator_bound, disturbed.invalid_because) == (False, False, ("disturbed",))


def test_repeats_become_medians_with_their_spread() -> None:
    """Median, least, greatest and median absolute deviation of each figure; the runs stay within."""
    result = merged(make_runs(*({"delivery_p99_ms": value, "deliveries_per_s": 5.0} for value in (30, 10, 14, 12))))
    figure = result.figure("delivery_p99_ms")
    assert figure is not None
    assert (figure.value, figure.spread) == (13, Spread((30, 10, 14, 12), 10, 30, 2))
    assert [run.figures[0].value for run in result.runs] == [30, 10, 14, 12]


def test_repeats_are_judged_by_the_median_and_break_by_any_run() -> None:
    """One slow run of three does not miss a budget, one lost event of three breaks a promise."""
    runs = make_runs(*({"cpu_per_delivery_us": value} for value in (9.0, 25.0, 9.5)))
    runs[1] = make({"cpu_per_delivery_us": 25.0}, verdict=Verdict(lost=2, readers=5), cpu_percent=95)
    result = merged(runs)
    assert [(budget.figure, budget.value, budget.met) for budget in result.budgets] == [
        ("cpu_per_delivery_us", 9.5, True)
    ]
    assert (result.verdict.lost, result.broken) == (2, ("lost",))
    assert (result.valid, len(result.invalid_because)) == (False, 1)
    assert result.invalid_because[0].startswith("run 2: ")


def test_a_figure_that_a_run_lacks_is_left_out() -> None:
    """A median over fewer runs than the others would pretend to be as good."""
    result = merged(make_runs({"deliveries_per_s": 1.0, "delivery_p99_ms": 2.0}, {"deliveries_per_s": 3.0}))
    assert [figure.name for figure in result.figures] == ["deliveries_per_s"]


def test_one_run_is_not_a_repeat() -> None:
    """A single run has no spread and holds no runs."""
    run = make()
    assert merged([run]) is run


def test_budgets_are_judged_only_where_the_scenario_has_them() -> None:
    """A shape of one's own prints figures and no verdict."""
    assert make(scenario=attrs.evolve(FANOUT_B, budgets=())).budgets == []


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=300))
def test_a_curve_rises_from_the_least_to_the_greatest_value(values: list[int]) -> None:
    """Percentiles and values rise, the last is the greatest, and each is the histogram's own percentile."""
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    curve = Curve.of("delivery", histogram)
    percents = [percent for percent, _ in curve.points]
    found = [value for _, value in curve.points]
    assert curve.count == len(values)
    assert percents == sorted(set(percents))
    assert found == sorted(found)
    assert percents[0] == 0
    assert curve.points[-1] == (100, max(values) / 1e6)
    assert found[0] <= min(values) / 1e6 * (1 + RELATIVE_ERROR) + 1e-6


def test_a_curve_has_the_halvings() -> None:
    """50, 75, 87.5, ... are among the points, and none lies above what the count can tell apart."""
    histogram = Histogram()
    for value in range(1, 1001):
        histogram.record(value)
    percents = [percent for percent, _ in Curve.of("x", histogram).points]
    assert {50.0, 75.0, 87.5, 93.75} <= set(percents)
    assert percents[-1] == 100
    assert percents[-2] < 100 - 100 / 2000


def test_an_empty_histogram_has_an_empty_curve() -> None:
    """No value, no point."""
    assert Curve.of("x", Histogram()).points == []


def test_every_field_of_the_json_is_documented() -> None:
    """The table of `docs/bench.md` names each field of a result."""
    page = (Path(hubbub.bench.__file__).resolve().parents[1] / "docs" / "bench.md").read_text()
    table = page[page.index("## The JSON") :]
    assert [name for name in attrs.fields_dict(Result) if f"`{name}`" not in table] == []
