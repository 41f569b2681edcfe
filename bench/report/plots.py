"""Which plots a page shows of one scenario, and what is drawn in them. Pure.

One source (a single run) has a colour for each quantity. Repeats have a colour each, and the quantities differ by their
dashes; beside an earlier result all runs of a side have the same colour. Only the first `MOST_RUNS` of a side are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from .plot import COLOURS, DASHES, Limit, Line, Plot
from .result import Curve, Result, Series

MOST_RUNS: Final = COLOURS
_LOG_FROM: Final = 20.0
_PERCENTS: Final = (0, 90, 99, 99.9, 99.99, 99.999, 99.9999)


@attrs.frozen
class Source:
    """A result whose lines are drawn.

    Attributes:
        name: What its lines are called; "" where there is only one source.
        group: What the legend calls them: as the name, or the side of a comparison.
    """

    result: Result
    name: str = ""
    group: str = ""
    colour: int = 0


@attrs.frozen
class _OverTime:
    """A plot over the seconds of the window: its title, unit, and the series with their short names."""

    title: str
    unit: str
    series: tuple[tuple[str, str], ...]


_OVER_TIME: Final = (
    _OverTime("Delivery latency", "ms", (("delivery_p99_ms", "p99"), ("delivery_p50_ms", "p50"))),
    _OverTime("Ack latency", "ms", (("ack_p99_ms", "p99"), ("ack_p50_ms", "p50"))),
    _OverTime("Read latency", "ms", (("read_p99_ms", "p99"), ("read_p50_ms", "p50"))),
    _OverTime("Deliveries per second", "1/s", (("deliveries_per_s", "deliveries"),)),
    _OverTime("Posts per second", "1/s", (("posts_per_s", "posts"),)),
    _OverTime("Reads per second", "1/s", (("reads_per_s", "reads"),)),
    _OverTime(
        "CPU",
        "% of a core",
        (
            ("server_cpu_percent", "server"),
            ("postgres_cpu_percent", "Postgres"),
            ("generator_cpu_percent", "busiest generator"),
        ),
    ),
    _OverTime("Memory of the server", "MiB", (("server_rss_mib", "resident"),)),
)


def sources_of(result: Result, earlier: Result | None) -> list[Source]:
    """Whose lines are drawn for a result: its repeats or itself, after those of an earlier result where there is one."""
    if earlier is not None:
        return _side(earlier, "earlier", 1) + _side(result, "new", 0)
    runs = result.runs[:MOST_RUNS]
    return [Source(run, f"run {n}", f"run {n}", n - 1) for n, run in enumerate(runs, 1)] or [Source(result)]


def _side(result: Result, group: str, colour: int) -> list[Source]:
    runs = [Source(run, f"{group} {number}", group, colour) for number, run in enumerate(result.runs[:MOST_RUNS], 1)]
    return runs or [Source(result, group, group, colour)]


def plots_of(sources: Sequence[Source]) -> list[Plot]:
    """All plots that have something to show, latency first."""
    latency = [_over_time(each, sources) for each in _OVER_TIME if each.unit == "ms"]
    rest = [_over_time(each, sources) for each in _OVER_TIME if each.unit != "ms"]
    known = {name for each in _OVER_TIME for name, _ in each.series}
    others = {s.name: s.unit for source in sources for s in source.result.series if s.name not in known}
    rest += [_over_time(_OverTime(name, unit, ((name, name),)), sources) for name, unit in others.items()]
    found = [*latency, _by_percentile(sources), *rest]
    return [plot for plot in found if any(line.values() for line in plot.lines)]


def _lines(
    sources: Sequence[Source], found: Sequence[tuple[int, int, str, Sequence[tuple[float, float | None]]]]
) -> list[Line]:
    """Lines from (source, quantity, name of the quantity, points)."""
    single = len(sources) == 1
    lines = []
    for index, quantity, quantity_name, points in found:
        source = sources[index]
        name, legend = (" ".join(filter(None, (called, quantity_name))) for called in (source.name, source.group))
        colour, dash = (quantity, 0) if single else (source.colour, quantity)
        lines.append(Line(name, points, colour % COLOURS, dash % len(DASHES), legend))
    return lines


def _over_time(wanted: _OverTime, sources: Sequence[Source]) -> Plot:
    found = [
        (source, quantity, short, _points(series))
        for source, each in enumerate(sources)
        for quantity, (name, short) in enumerate(wanted.series)
        for series in each.result.series
        if series.name == name
    ]
    names = {name for name, _ in wanted.series}
    budgets = sources[-1].result.budgets
    limits = [
        Limit(f"budget of {dict(wanted.series)[b.figure]}: {b.must:g}", b.must) for b in budgets if b.figure in names
    ]
    title = f"{wanted.title} over time" if wanted.unit == "ms" else wanted.title
    return Plot(
        title=title,
        unit=wanted.unit,
        x_title="seconds of the measured window",
        lines=_lines(sources, found),
        limits=limits,
    )


def _points(series: Series) -> list[tuple[float, float | None]]:
    return list(zip(series.at_s, series.values, strict=False))


def _by_percentile(sources: Sequence[Source]) -> Plot:
    names = list(dict.fromkeys(curve.name for source in sources for curve in source.result.curves if curve.points))
    found = [
        (source, names.index(curve.name), curve.name, _stretched(curve))
        for source, each in enumerate(sources)
        for curve in each.result.curves
        if curve.points
    ]
    lines = _lines(sources, found)
    curves = [curve for source in sources for curve in source.result.curves if curve.points]
    steep = any(curve.points[-1][1] > _LOG_FROM * _median(curve) > 0 for curve in curves)
    return Plot(
        title="Latency by percentile",
        unit="ms",
        x_title="percentile",
        lines=lines,
        x_ticks=[(_at(percent), f"{percent:g}") for percent in _PERCENTS],
        x_names={x: name for source in sources for c in source.result.curves for x, name in _named(c)},
        log_y=steep,
    )


def _median(curve: Curve) -> float:
    return next(value for percent, value in curve.points if percent >= 50)


def _at(percent: float) -> float:
    """Where a percentile lies: the number of nines."""
    return -math.log10(1 - percent / 100)


def _end(curve: Curve) -> float:
    """Where the greatest value lies: as far as so many values can tell percentiles apart."""
    inner = [percent for percent, _ in curve.points if percent < 100]
    return max(math.log10(max(curve.count, 1)), _at(inner[-1]) if inner else 0.0)


def _stretched(curve: Curve) -> list[tuple[float, float | None]]:
    """The curve over the number of nines."""
    return [(_at(percent) if percent < 100 else _end(curve), value) for percent, value in curve.points]


def _named(curve: Curve) -> list[tuple[float, str]]:
    return [
        (_at(percent), f"{percent:.7g}") if percent < 100 else (_end(curve), f"100 of {curve.count:,}")
        for percent, _ in curve.points
    ]
