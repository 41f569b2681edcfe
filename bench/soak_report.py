"""The result of a soak: every series with its slope and verdict, what was checked, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Final

import attrs
import msgspec
from rich.console import Console
from rich.table import Table

from .report import Machine, commit
from .soak_ledger import Checks
from .soak_trend import CONFIDENCE, LEAST_POINTS, Judged, Trend, judge
from .soak_watch import SERIES, Sample, Series

SCHEMA: Final = 1
_STYLES: Final = {Trend.FLAT: "[green]flat[/]", Trend.UNCLEAR: "[yellow]unclear[/]", Trend.LEAKS: "[bold red]leaks[/]"}


@attrs.frozen(kw_only=True)
class Watched:
    """One series over the judged part of a run. `judged` is None where nothing is."""

    name: str
    unit: str
    first: float
    last: float
    median: float
    greatest: float
    judged: Judged | None


@attrs.frozen(kw_only=True)
class SoakResult:
    """Everything about one soak.

    Attributes:
        judged_s: the part of the run that is judged: without the warm-up and without settling at the end.
        samples: all of them, the warm-up's too, as columns; a value that was not seen is None.
        happened: what was done and what befell, with counts.
    """

    schema: int = SCHEMA
    started_at: str
    plan: Mapping[str, object]
    server: str
    machine: Machine
    commit: str
    judged_s: float
    confidence: float = CONFIDENCE
    series: tuple[Watched, ...]
    checks: Checks
    broken: tuple[str, ...]
    leaks: tuple[str, ...]
    happened: Mapping[str, int]
    samples: Mapping[str, Sequence[float | None]]

    @property
    def ok(self) -> bool:
        """Nothing leaks and nothing was broken."""
        return not self.leaks and not self.broken


def sum_up(
    *,
    started_at: float,
    plan: Mapping[str, object],
    server: str,
    samples: Sequence[Sample],
    warm_up_s: float,
    checks: Checks,
    happened: Mapping[str, int],
) -> SoakResult:
    """Judge what was sampled.

    Args:
        started_at: seconds since 1970.
        samples: in the order of time.
        warm_up_s: samples before that are shown and not judged.
    """
    late = [sample for sample in samples if sample.at_s >= warm_up_s]
    series = tuple(found for each in SERIES if (found := _watched(each, late)) is not None)
    names = [each.name for each in SERIES]
    return SoakResult(
        started_at=datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds"),
        plan=plan,
        server=server,
        machine=Machine.here(),
        commit=commit(),
        judged_s=late[-1].at_s - late[0].at_s if late else 0.0,
        series=series,
        checks=checks,
        broken=checks.broken(),
        leaks=tuple(each.name for each in series if each.judged is not None and each.judged.trend is Trend.LEAKS),
        happened=dict(sorted(happened.items())),
        samples={
            "at_s": [round(sample.at_s, 2) for sample in samples],
            **{name: [_rounded(sample.values.get(name)) for sample in samples] for name in names},
        },
    )


def _watched(series: Series, samples: Sequence[Sample]) -> Watched | None:
    points = [(sample.at_s, sample.values[series.name]) for sample in samples if series.name in sample.values]
    if not points:
        return None
    times, values = [at for at, _ in points], [value for _, value in points]
    judged = None
    if series.tolerance_per_h is not None and len(points) >= LEAST_POINTS:
        hours = (times[-1] - times[0]) / 3600
        judged = judge(times, values, max(series.tolerance_per_h, series.least_rise / hours))
    return Watched(
        name=series.name,
        unit=series.unit,
        first=values[0],
        last=values[-1],
        median=median(values),
        greatest=max(values),
        judged=judged,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def to_json(result: SoakResult) -> bytes:
    """The result as JSON."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2)


def show(result: SoakResult, console: Console) -> None:
    """Print it: each series, what was done, what was checked, and the verdict."""
    table = Table(title=f"soak: {result.judged_s / 60:.1f} min judged", title_justify="left")
    table.add_column("series", no_wrap=True)
    for name in ("first", "last", "greatest", "slope/h", "interval", "allowed/h"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in result.series:
        figures = [_number(value) for value in (each.first, each.last, each.greatest)]
        slope = ["", "", "", ""] if each.judged is None else _slope(each.judged)
        table.add_row(f"{each.name} {each.unit}".rstrip(), *figures, *slope)
    console.print(table)
    for what, count in result.happened.items():
        console.print(f"  {count:,} {what}", highlight=False, markup=False)
    counts = ", ".join(f"{name} {value:,}" for name, value in attrs.asdict(result.checks).items() if name != "notes")
    for note in result.checks.notes:
        console.print(note, style="red", highlight=False, markup=False)
    style = "bold red" if result.broken else "green"
    console.print(f"[{style}]{'broken: ' + ', '.join(result.broken) if result.broken else 'checks held'}[/] ({counts})")
    style = "bold red" if result.leaks else "green"
    console.print(f"[{style}]{'leaks: ' + ', '.join(result.leaks) if result.leaks else 'nothing leaks'}[/]")
    machine = result.machine
    console.print(
        f"{machine.cpu}, {machine.cores} cores, Linux {machine.kernel}, Python {machine.python}, "
        f"commit {result.commit}, {result.started_at}, {dict(result.plan)}",
        style="dim",
        highlight=False,
    )


def _slope(judged: Judged) -> list[str]:
    slope = judged.slope
    interval = f"{_number(slope.low)} to {_number(slope.high)}"
    return [_number(slope.per_h), interval, _number(judged.tolerance_per_h), _STYLES[judged.trend]]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
