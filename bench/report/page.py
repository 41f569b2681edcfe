"""The HTML report: one file that opens offline, without scripts, verdicts first. Pure but for reading the style sheet.

Several scenarios come one after the other; repeats, and an earlier result where there is one, are drawn over each
other. Whatever a result holds is foreign text: it passes through `markup`, which escapes it, and the page forbids
itself scripts and the network by its own policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from .compare import Basis, Change, Comparison
from .figures import kind_of, number
from .markup import Html, joined, rows, tag
from .plot import DASHES, Line, Plot
from .plots import MOST_RUNS, plots_of, sources_of
from .result import Figure, Result

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_MOST_ROWS: Final = 120
_TILES: Final = (
    *("all_caught_up_s", "highest_rate_per_s", "deliveries_per_s", "posts_per_s", "reads_per_s"),
    *("delivery_p50_ms", "delivery_p99_ms", "ack_p99_ms", "read_p99_ms", "p99_shift_percent"),
    *("cpu_per_delivery_us", "cpu_per_request_us", "rss_per_connection_kib", "connects_per_s", "connect_p99_ms"),
)
"""The most telling figures, in the order of their weight; a scenario shows the first `_MOST_TILES` that it has."""
_MOST_TILES: Final = 6
_MARKS: Final[Mapping[Change, tuple[str, str]]] = {
    Change.BETTER: ("good", "better"),
    Change.WORSE: ("bad", "worse"),
    Change.CHANGED: ("warn", "changed"),
    Change.SAME: ("soft", "within noise"),
    Change.UNKNOWN: ("soft", "not known"),
}


def render(results: Sequence[Result], comparisons: Sequence[Comparison] = ()) -> str:
    """The page.

    Args:
        results: In the order to be shown, at least one.
        comparisons: Of these results with earlier ones, by `compare`.
    """
    compared = {id(comparison.new): comparison for comparison in comparisons}
    head = _head(results[0])
    several = [_contents(results)] if len(results) > 1 else []
    sections = [_section(n, result, compared.get(id(result))) for n, result in enumerate(results)]
    style = Html((Path(__file__).parent / "static" / "page.css").read_text())
    names = ", ".join(result.name for result in results)
    page = tag(
        "html",
        tag(
            "head",
            Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
            tag("title", f"hubbub bench: {names}"),
            tag("style", style),
        ),
        tag("body", head, *several, *sections),
        lang="en",
    )
    return f"<!doctype html>\n{page}\n"


def _head(first: Result) -> Html:
    machine = first.machine
    return tag(
        "header",
        tag("h1", "hubbub bench"),
        tag("p", f"{_time(first)}, commit {first.commit}", class_="soft"),
        tag("p", f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib:,} MiB", class_="soft"),
    )


def _time(result: Result) -> str:
    return result.started_at.replace("T", " ").replace("+00:00", " UTC")


def _contents(results: Sequence[Result]) -> Html:
    links = [tag("li", tag("a", f"{result.name}: {result.title}", href=f"#r{n}")) for n, result in enumerate(results)]
    return tag("nav", tag("ul", *links), aria_label="Scenarios")


def _section(index: int, result: Result, comparison: Comparison | None) -> Html:
    earlier = comparison.old if comparison else None
    plots = plots_of(sources_of(result, earlier))
    parts = [
        tag("h2", f"{result.name}: {result.title}"),
        _verdicts(result, comparison),
        _tiles(result),
        _slo(result),
        _budgets(result),
        _comparison(comparison),
        *([tag("h3", "Plots")] if plots else []),
        *(
            [tag("p", f"The first {MOST_RUNS} of {len(result.runs)} runs are drawn.", class_="soft")]
            if len(result.runs) > MOST_RUNS
            else []
        ),
        tag("div", *(_plot(plot) for plot in plots), class_="plots"),
        _figures(result),
        _counts(result),
        _origin(result),
    ]
    return tag("section", *parts, id=f"r{index}")


def _verdicts(result: Result, comparison: Comparison | None) -> Html:
    told: list[tuple[str, str, str]] = []
    if result.broken:
        told.append(("bad", "Promises broken", ", ".join(result.broken)))
    else:
        told.append(("good", "Promises held", "nothing lost, doubled, reordered or cut off"))
    if not result.valid:
        told.append(("warn", "Invalid run", "; ".join(result.invalid_because)))
    if result.slo:
        told.append(_slo_verdict(result))
    if result.budgets:
        met = sum(budget.met for budget in result.budgets)
        kind = "good" if met == len(result.budgets) else "bad"
        told.append((kind, "Budgets", f"{met} of {len(result.budgets)} met"))
    if comparison is not None:
        told.append(_change_verdict(comparison))
    told += [("warn", "Note", note) for note in result.notes]
    return tag("ul", *(tag("li", tag("b", name), text, class_=kind) for kind, name, text in told), class_="verdicts")


def _slo_verdict(result: Result) -> tuple[str, str, str]:
    missed = [condition.text for condition in result.slo if not condition.kept]
    if not result.valid:
        return "warn", "Service level", "no verdict, because the run is invalid"
    if missed:
        return "bad", "Service level missed", ", ".join(missed)
    return "good", "Service level kept", ", ".join(condition.text for condition in result.slo)


def _change_verdict(comparison: Comparison) -> tuple[str, str, str]:
    if comparison.old is None:
        return "warn", "Not compared", comparison.refused
    worse = [each.figure for each in comparison.differences if each.change is Change.WORSE]
    better = [each.figure for each in comparison.differences if each.change is Change.BETTER]
    if comparison.regressed:
        return "bad", "Worse than before", ", ".join((*comparison.newly_broken, *worse))
    if better:
        return "good", "Better than before", ", ".join(better)
    return "good", "As before", "nothing changed beyond noise"


def _tiles(result: Result) -> Html:
    shown = [figure for name in _TILES if (figure := result.figure(name)) is not None][:_MOST_TILES]
    tiles = [
        tag("div", tag("dt", figure.name), tag("dd", number(figure.value), " ", tag("small", figure.unit)))
        for figure in shown
    ]
    return tag("dl", *tiles, class_="tiles")


def _mark(kind: str, text: str) -> Html:
    return tag("span", text, class_=f"mark {kind}")


def _slo(result: Result) -> Html:
    if not result.slo:
        return Html("")
    body = [
        (
            condition.text,
            _mark("good", "kept") if condition.kept else _mark("bad", "not kept"),
            condition.because if condition.value is None else f"{number(condition.value)} {condition.unit}".strip(),
            condition.figure,
        )
        for condition in result.slo
    ]
    return joined((tag("h3", "Service level"), rows(("condition", "", "measured", "figure"), body)))


def _budgets(result: Result) -> Html:
    if not result.budgets:
        return Html("")
    body = []
    for budget in result.budgets:
        sign = "≥ " if budget.at_least else "≤ "
        reached = budget.value >= budget.aim if budget.at_least else budget.value <= budget.aim
        mark = _mark("bad", "missed") if not budget.met else _mark("good", "aim reached" if reached else "met")
        must, aim = f"{sign}{number(budget.must)}", f"{sign}{number(budget.aim)}"
        body.append((budget.figure, mark, number(budget.value), must, aim))
    return joined((tag("h3", "Budgets"), rows(("figure", "", "measured", "must", "aim"), body, numbers=(2, 3, 4))))


def _comparison(comparison: Comparison | None) -> Html:
    if comparison is None or comparison.old is None:
        return Html("")
    old = comparison.old
    body = []
    for each in comparison.differences:
        ratio = "" if each.ratio is None else f"{each.ratio:.3f}"
        interval = "" if each.interval is None else f"{each.interval.low:.3f} to {each.interval.high:.3f}"
        basis = "" if each.basis is Basis.NOTHING else each.basis.value
        mark = _mark(*_MARKS[each.change])
        body.append((each.figure, mark, number(each.old), number(each.new), ratio, interval, basis))
    head = ("figure", "", "earlier", "new", "new/earlier", "99 % interval", "noise from")
    doubts = [tag("ul", *(tag("li", doubt) for doubt in comparison.doubts))] if comparison.doubts else []
    caption = f"commit {old.commit} of {_time(old)}"
    table = rows(head, body, caption=caption, numbers=(2, 3, 4, 5))
    return joined((tag("h3", "Against the earlier result"), table, *doubts))


def _plot(plot: Plot) -> Html:
    caption = tag("figcaption", plot.title, " ", tag("span", plot.unit + (", logarithmic" if plot.log_y else "")))
    groups = {line.group or line.name: line for line in plot.lines}
    legend = [tag("li", _swatch(line), name) for name, line in groups.items()]
    table = tag("details", tag("summary", "Values as a table"), _values(plot))
    return tag("figure", caption, tag("ul", *legend, class_="legend"), Html(plot.svg()), table)


def _swatch(line: Line) -> Html:
    dash = f' stroke-dasharray="{DASHES[line.dash]}"' if DASHES[line.dash] else ""
    path = f'<path class="line c{line.colour}" d="M0 5H30"{dash}/>'
    return Html(f'<svg viewBox="0 0 30 10" aria-hidden="true">{path}</svg>')


def _values(plot: Plot) -> Html:
    """At most `_MOST_ROWS` of the points, evenly chosen."""
    by_line = [dict(line.points) for line in plot.lines]
    xs = sorted({x for points in by_line for x in points})
    step = -(-len(xs) // _MOST_ROWS) or 1

    def named(x: float) -> str:
        return plot.x_names.get(x, f"{x:.1f}")

    def cell(value: float | None) -> str:
        return "" if value is None else number(value)

    body = [(named(x), *(cell(points.get(x)) for points in by_line)) for x in xs[::step]]
    head = ("percentile" if plot.x_names else "second", *(line.name for line in plot.lines))
    caption = f"every {step}th point, in {plot.unit}" if step > 1 else f"in {plot.unit}"
    return rows(head, body, caption=caption, numbers=range(1, len(head)))


def _figures(result: Result) -> Html:
    def row(figure: Figure) -> tuple[str, ...]:
        spread = figure.spread
        spreads: tuple[str, ...] = ()
        if spread is not None:
            spreads = (f"{number(spread.least)} to {number(spread.greatest)}", number(spread.mad))
        means = kind_of(figure.name, figure.unit).means
        return (figure.name, number(figure.value), *spreads, figure.unit, means)

    repeated = ("least to greatest", "MAD") if result.runs else ()
    head = ("figure", "median" if result.runs else "value", *repeated, "unit", "what it is")
    numbers = (1, 2, 3) if result.runs else (1,)
    generators = [
        (f"generator {n}", f"{use.cpu_percent:.0f}", *("" for _ in repeated), "%", "CPU of a load generator")
        for n, use in enumerate(result.generators)
    ]
    title = f"All figures, of {len(result.runs)} runs" if result.runs else "All figures"
    return joined((tag("h3", title), rows(head, [*map(row, result.figures), *generators], numbers=numbers)))


def _counts(result: Result) -> Html:
    body = [
        (name, f"{value:,}", _mark("bad", "broken") if name in result.broken else "")
        for name, value in attrs.asdict(result.verdict).items()
    ]
    return joined((tag("h3", "What was counted"), rows(("count", "value", ""), body, numbers=(1,))))


def _origin(result: Result) -> Html:
    """Everything that is needed to make the result again."""
    told = [
        *((f"scenario: {name}", str(value)) for name, value in result.scenario.items() if name != "budgets"),
        *((f"option: {name}", str(value)) for name, value in result.options.items()),
        *((f"server: {name}", str(value)) for name, value in result.server.items()),
        *((f"machine: {name}", str(value)) for name, value in attrs.asdict(result.machine).items()),
        *((f"version: {name}", value) for name, value in result.versions.items()),
        ("commit", result.commit),
        ("started at", result.started_at),
    ]
    command = [tag("p", "Make it again:"), tag("pre", tag("code", result.command))] if result.command else []
    return joined((tag("h3", "Settings and machine"), *command, rows(("what", "value"), told)))
