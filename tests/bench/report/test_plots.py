"""Which plots a page has, and what is drawn in them."""

from hubbub.bench.report import Result, merged
from hubbub.bench.report.plot import COLOURS, Plot
from hubbub.bench.report.plots import MOST_RUNS, plots_of, sources_of

from .results import make

SERIES = {
    "delivery_p50_ms": [8.0, 9.0],
    "delivery_p99_ms": [20.0, 22.0],
    "server_cpu_percent": [40.0, 41.0],
    "postgres_cpu_percent": [10.0, None],
    "ack_p99_ms": [None, None],
    "sheep_per_s": [1.0, 2.0],
}


def drawn(result: Result, earlier: Result | None = None) -> dict[str, Plot]:
    return {plot.title: plot for plot in plots_of(sources_of(result, earlier))}


def test_a_single_run_has_a_colour_for_each_quantity() -> None:
    """p50 and p99 in one plot; what was never seen has none; a series that is not known has one of its own."""
    plots = drawn(make(series=SERIES))
    assert list(plots) == ["Delivery latency over time", "Latency by percentile", "CPU", "sheep_per_s"]
    lines = plots["Delivery latency over time"].lines
    assert [(line.name, line.colour, line.dash) for line in lines] == [("p99", 0, 0), ("p50", 1, 0)]
    assert [limit.name for limit in plots["Delivery latency over time"].limits] == [
        "budget of p50: 15",
        "budget of p99: 40",
    ]


def test_repeats_have_a_colour_each() -> None:
    """Quantities differ by dashes then; no more runs are drawn than there are colours."""
    plots = drawn(merged([make(series=SERIES) for _ in range(COLOURS + 3)]))
    lines = plots["Delivery latency over time"].lines
    assert [(line.name, line.colour, line.dash) for line in lines[:3]] == [
        ("run 1 p99", 0, 0),
        ("run 1 p50", 0, 1),
        ("run 2 p99", 1, 0),
    ]
    assert len(lines) == 2 * MOST_RUNS


def test_an_earlier_result_is_drawn_beside_the_new_one() -> None:
    """Each side has one colour and one name in the legend, however many runs it has."""
    lines = drawn(make(series=SERIES), merged([make(series=SERIES)] * 2))["CPU"].lines
    assert [(line.name, line.group, line.colour) for line in lines if line.dash == 0] == [
        ("earlier 1 server", "earlier server", 1),
        ("earlier 2 server", "earlier server", 1),
        ("new server", "new server", 0),
    ]


def test_percentiles_lie_by_their_number_of_nines() -> None:
    """90 % at 1, 99 % at 2; the greatest value is named and ends the line."""
    plot = drawn(make())["Latency by percentile"]
    (line,) = plot.lines
    names = [plot.x_names[x] for x, _ in line.points]
    assert dict(zip(names, [x for x, _ in line.points], strict=True))["75"] == 0.6020599913279624
    assert names[-1] == "100 of 1,999"
    assert not plot.log_y
    assert [text for _, text in plot.x_ticks or ()][:4] == ["0", "90", "99", "99.9"]


def test_without_series_there_is_no_plot_of_them() -> None:
    """A run that has only a distribution shows that alone."""
    assert list(drawn(make())) == ["Latency by percentile"]
