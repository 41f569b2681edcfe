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
from rich.text import Text

from .report import Machine, commit
from .soak_ledger import Checks
from .soak_trend import CONFIDENCE, LEAST_POINTS, Judged, Trend, judge
from .soak_watch import SERIES, Sample, Series

SCHEMA: Final = 1
LEAST_JUDGED_S: Final = 180.0
"""A shorter stretch has no verdict: memory that settles rises as steeply as a leak for that long."""
_TOLERATED: Final = frozenset(each.name for each in SERIES if each.tolerance_per_h is not None)
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
        judged_samples: how many samples it has.
        too_short: so little was seen that no series is judged.
        unclear: series that neither leak nor are surely flat; none when it is too short.
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
    judged_samples: int
    too_short: bool
    confidence: float = CONFIDENCE
    series: tuple[Watched, ...]
    checks: Checks
    broken: tuple[str, ...]
    leaks: tuple[str, ...]
    unclear: tuple[str, ...]
    happened: Mapping[str, int]
    samples: Mapping[str, Sequence[float | None]]

    @property
    def ok(self) -> bool:
        """Enough was seen, nothing leaks for certain, and nothing was broken."""
        return not self.leaks and not self.broken and not self.too_short


def sum_up(
    *,
    started_at: float,
    plan: Mapping[str, object],
    server: str,
    samples: Sequence[Sample],
    warm_up_s: float,
    checks: Checks,
    happened: Mapping[str, int],
    least_judged_s: float = LEAST_JUDGED_S,
) -> SoakResult:
    """Judge what was sampled.

    Args:
        started_at: seconds since 1970.
        samples: in the order of time.
        warm_up_s: samples before that are shown and not judged.
        least_judged_s: nothing is judged when the rest is shorter.
    """
    late = [sample for sample in samples if sample.at_s >= warm_up_s]
    judged_s = late[-1].at_s - late[0].at_s if late else 0.0
    too_short = len(late) < LEAST_POINTS or judged_s < least_judged_s
    series = tuple(found for each in SERIES if (found := _watched(each, late, judging=not too_short)) is not None)
    names = [each.name for each in SERIES]
    return SoakResult(
        started_at=datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds"),
        plan=plan,
        server=server,
        machine=Machine.here(),
        commit=commit(),
        judged_s=judged_s,
        judged_samples=len(late),
        too_short=too_short,
        series=series,
        checks=checks,
        broken=checks.broken(),
        leaks=tuple(each.name for each in series if each.judged is not None and each.judged.trend is Trend.LEAKS),
        unclear=() if too_short else tuple(each.name for each in series if _unclear(each)),
        happened=dict(sorted(happened.items())),
        samples={
            "at_s": [round(sample.at_s, 2) for sample in samples],
            **{name: [_rounded(sample.values.get(name)) for sample in samples] for name in names},
        },
    )


def _unclear(watched: Watched) -> bool:
    """Also a series that was seen too seldom to be judged."""
    if watched.judged is None:
        return watched.name in _TOLERATED
    return watched.judged.trend is Trend.UNCLEAR


def _watched(series: Series, samples: Sequence[Sample], *, judging: bool) -> Watched | None:
    points = [(sample.at_s, sample.values[series.name]) for sample in samples if series.name in sample.values]
    if not points:
        return None
    times, values = [at for at, _ in points], [value for _, value in points]
    judged = None
    if judging and series.tolerance_per_h is not None and len(points) >= LEAST_POINTS:
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
    console.print(_happened(result.happened))
    counts = ", ".join(f"{name} {value:,}" for name, value in attrs.asdict(result.checks).items() if name != "notes")
    for note in result.checks.notes:
        console.print(note, style="red", highlight=False, markup=False)
    style = "bold red" if result.broken else "green"
    console.print(f"[{style}]{'broken: ' + ', '.join(result.broken) if result.broken else 'checks held'}[/] ({counts})")
    machine = result.machine
    console.print(
        f"{machine.cpu}, {machine.cores} cores, Linux {machine.kernel}, Python {machine.python}, "
        f"commit {result.commit}, {result.started_at}",
        style="dim",
        highlight=False,
    )
    console.print(_planned(result.plan), style="dim", highlight=False, markup=False)
    console.print(_verdict(result), highlight=False)


def _verdict(result: SoakResult) -> str:
    if result.leaks:
        return f"[bold red]leaks: {', '.join(result.leaks)}[/]"
    if result.too_short:
        return (
            f"[yellow]too little was seen for a verdict on leaks: {result.judged_samples} samples in {result.judged_s:.0f} s "
            f"after the warm-up; it takes {LEAST_POINTS} samples and {LEAST_JUDGED_S:.0f} s[/]"
        )
    if result.unclear:
        return (
            f"[yellow]nothing leaks for certain; {len(result.unclear)} series unclear: {', '.join(result.unclear)}[/]"
        )
    return "[green]nothing leaks[/]"


def _happened(happened: Mapping[str, int]) -> Table:
    table = Table.grid(padding=(0, 2))
    for what, count in happened.items():
        table.add_row(Text(what), f"{count:,}")
    return table


def _planned(plan: Mapping[str, object]) -> str:
    """The plan on one line, its parts' fields among its own; what was left to the default of the code is not named."""
    words: list[str] = []
    for name, value in plan.items():
        if isinstance(value, Mapping):
            words.append(_planned(value))
        elif value is not None:
            words.append(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}")
    return ", ".join(words)


def _slope(judged: Judged) -> list[str]:
    slope = judged.slope
    interval = f"{_number(slope.low)} to {_number(slope.high)}"
    return [_number(slope.per_h), interval, _number(judged.tolerance_per_h), _STYLES[judged.trend]]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
