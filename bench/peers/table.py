"""A comparison as tables: one for each shape, everyone beside hubbub and beside the C floor, then what to bear in mind.

Fits 80 columns. Values are medians of the rounds, with half of what lies between the least and the greatest in percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..report import Figure, Result
from ..report.figures import number
from .catalogue import FLOOR
from .rounds import HUBBUB, SHAPES, Comparison, Standing

_PROMISES: Final = """Nobody but hubbub stores anything. A peer's answer to a post says that its process has read it, \
hubbub's that it is committed to Postgres and can be read again."""
_KIND: Final = """The peers have no offsets but the counter added for this comparison, no resume, history, identities or \
permissions, and promise no order across restarts; most keep all for a reader that stalls until it is timed out."""
_CPU: Final = """us/delivery is CPU of the server's processes, in brackets with hubbub's Postgres. Events are about as long as \
hubbub's. Server and generator share this machine: compare within one table only."""
CAVEATS: Final = (_PROMISES, _KIND, _CPU)


@attrs.frozen
class View:
    """What a shape's table shows.

    Attributes:
        title: Of the figure that everyone is compared by, and `figure` its name.
        others: Further columns.
    """

    title: str
    figure: str
    others: tuple[str, ...]


_KEPT_UP: Final = 0.95
_CPU_TITLE: Final = "us/delivery"
_LATENCY_TITLE: Final = "p50 / p99 ms"
_CONNECTS_TITLE: Final = "connects/s"
VIEWS: Final = {
    "A": View("deliveries/s", "deliveries_per_s", (_CPU_TITLE, _LATENCY_TITLE)),
    "B": View(_CPU_TITLE, "cpu_per_delivery_us", (_LATENCY_TITLE,)),
    "D": View("KiB/connection", "rss_per_connection_kib", (_CONNECTS_TITLE,)),
}


def remarks(result: Result) -> list[str]:
    """What keeps the figures of a result from being taken as they are; nothing for a clean one."""
    found = [f"{result.verdict.lost:,} deliveries missing at the end"] if result.verdict.lost else []
    found += [f"broken: {name}" for name in result.broken if name != "lost"]
    load = result.scenario.get("load")
    rate = load.get("rate_per_s") if isinstance(load, dict) else None
    acked = _value(result, "posts_per_s")
    if rate and acked is not None and acked < _KEPT_UP * rate:
        found.append(f"does not keep up: answered {number(acked)} of {number(rate)} posts/s")
    return [*found, *result.invalid_because, *result.notes]


def ratio(value: float | None, base: float | None) -> str:
    """A figure as a multiple of another; empty where one of them is missing."""
    if value is None or not base:
        return ""
    times = value / base
    return f"{times:.2f}x" if times < 10 else f"{times:,.0f}x"


def rows(standings: Sequence[Standing], shape: str) -> list[list[str]]:
    """The cells of a shape's table, a row for each contender with a result: name, value, of hubbub, of C, others, stored."""
    view = VIEWS[shape]
    results = {standing.name: standing.results[shape] for standing in standings if shape in standing.results}
    found: list[list[str]] = []
    for standing in standings:
        result = results.get(standing.name)
        if result is None:
            continue
        own = result.figure(view.figure)
        value = own.value if own else None
        ratios = [
            ratio(value, _value(results[base], view.figure) if base in results else None) for base in (HUBBUB, FLOOR)
        ]
        others = [_other(result, title) for title in view.others]
        found.append(
            [standing.name, _measured(result, view, own), *ratios, *others, "yes" if standing.durable else "no"]
        )
    return found


def _measured(result: Result, view: View, figure: Figure | None) -> str:
    if figure is None:
        return ""
    text = _cpu(result) if view.title == _CPU_TITLE else number(figure.value)
    if figure.spread is None or not figure.value:
        return text
    half = 50 * (figure.spread.greatest - figure.spread.least) / figure.value
    return f"{text} ±{half:.0f}%"


def _other(result: Result, title: str) -> str:
    if title == _CPU_TITLE:
        return _cpu(result)
    if title == _LATENCY_TITLE:
        return f"{_shown(result, 'delivery_p50_ms')} / {_shown(result, 'delivery_p99_ms')}"
    return _shown(result, "connects_per_s")


def _cpu(result: Result) -> str:
    alone, whole = _shown(result, "cpu_per_delivery_us"), _shown(result, "cpu_all_per_delivery_us")
    return alone if alone == whole else f"{alone} ({whole})"


def _shown(result: Result, name: str) -> str:
    value = _value(result, name)
    return "" if value is None else number(value)


def _value(result: Result, name: str) -> float | None:
    figure = result.figure(name)
    return figure.value if figure else None


def show(comparison: Comparison, console: Console) -> None:
    """Print the tables, who is missing and why, versions and settings, and what to bear in mind."""

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, highlight=False)

    for shape in VIEWS:
        cells = rows(comparison.standings, shape)
        if cells:
            console.print(_table(shape, cells, comparison.rounds))
        for standing in comparison.standings:
            told = remarks(standing.results[shape]) if shape in standing.results else []
            told += [f"failed: {standing.failed[shape]}"] if shape in standing.failed else []
            for text in told:
                say(f"{shape}, {standing.name}: {text}", "yellow")
    for name, why in comparison.unavailable.items():
        say(f"not available: {name}: {why}", "yellow")
    console.print()
    for standing in comparison.standings:
        say(f"{standing.name}: {standing.title}. {standing.versions}. {standing.settings}", "dim")
    for caveat in CAVEATS:
        say(f"- {caveat}")
    for result in [result for standing in comparison.standings for result in standing.results.values()][:1]:
        machine = result.machine
        where = f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib:,} MiB, Linux {machine.kernel}"
        say(f"{where}; commit {result.commit}, {result.started_at}", "dim")


def _table(shape: str, cells: list[list[str]], rounds: int) -> Table:
    view = VIEWS[shape]
    title = f"{shape}: {SHAPES[shape].title}" + (f" (median of {rounds} rounds)" if rounds > 1 else "")
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("server", no_wrap=True)
    for name in (view.title, "of hubbub", "of C", *view.others):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("stored", no_wrap=True)
    for row in cells:
        table.add_row(*map(escape, row))
    return table
