"""The result of a run: everything needed to judge and repeat it, as values and as JSON.

A file of results is a JSON array, one entry a scenario, in the order they were made. Of a scenario that was repeated
the entry holds medians with their spread, and the runs themselves in `runs`. Figures are rounded for display only.
A budget is judged only when the scenario carries it (see `scenarios.py`).

Left out: showing results (`table`, `page`), comparing them (`compare`), service levels (`slo`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Final, Protocol, Self

import attrs
import msgspec

from ..errors import BenchError
from ..invariants import Verdict
from ..measure import Histogram
from ..scenarios import Budget
from ..server import Server
from .machine import Machine, commit, versions

SCHEMA: Final = 2
_TICKS_PER_HALVING: Final = 5


class Scenario(Protocol):
    """What a result needs of a scenario; each is a frozen attrs class, and all its fields go into the JSON."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def budgets(self) -> tuple[Budget, ...]: ...


@attrs.frozen
class Spread:
    """How a figure differed between the runs of one scenario.

    Attributes:
        values: One for each run, in their order.
        mad: Median absolute deviation from the median.
    """

    values: Sequence[float]
    least: float
    greatest: float
    mad: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The spread of at least one value."""
        middle = median(values)
        return cls(tuple(values), min(values), max(values), median(abs(value - middle) for value in values))


@attrs.frozen
class Figure:
    """One measured number; its name ends in its unit where it has one. With a spread it is the median of the runs."""

    name: str
    value: float
    unit: str
    spread: Spread | None = None


@attrs.frozen
class Series:
    """A quantity over the measured window, one point a second; a value that was not seen is None.

    Attributes:
        at_s: Seconds since the window began, rising; as many as `values`.
    """

    name: str
    unit: str
    at_s: Sequence[float]
    values: Sequence[float | None]


@attrs.frozen
class Curve:
    """A whole distribution as (percentile, value), both rising; the last point is (100, greatest)."""

    name: str
    unit: str
    count: int
    points: Sequence[tuple[float, float]]

    @classmethod
    def of(cls, name: str, histogram: Histogram) -> Self:
        """The curve of a histogram of nanoseconds, in milliseconds, with the steps that HdrHistogram prints.

        Every halving of what is left above has five points: 0, 10, ... 50, 55, ... 75, ... up to the last percentile
        that a single value decides, and 100.
        """
        points = [(percent, histogram.percentile(percent) / 1e6) for percent in _percents(histogram.count)]
        if histogram.count:
            points.append((100.0, histogram.greatest / 1e6))
        return cls(name, "ms", histogram.count, points)


def _percents(count: int) -> list[float]:
    """Those below 100."""
    percents: list[float] = []
    left = 100.0
    while left * count >= 100:  # at least one value lies above
        percents += [100 - left + left / 2 * tick / _TICKS_PER_HALVING for tick in range(_TICKS_PER_HALVING)]
        left /= 2
    return percents


@attrs.frozen
class GeneratorUse:
    """CPU of one generator process in percent of a core within the window, and whether that limited the run."""

    cpu_percent: float
    bound: bool


@attrs.frozen
class Judged:
    """A figure beside its budget; `at_least` as in `Budget`."""

    figure: str
    value: float
    must: float
    aim: float
    met: bool
    at_least: bool = False


@attrs.frozen
class Condition:
    """One condition of a service level objective and whether it was kept.

    Attributes:
        text: As it was asked for.
        figure: The figure or count it was about.
        value: What was measured, in `unit`; None when the run has no such figure.
        because: Why there is no value; empty otherwise.
    """

    text: str
    figure: str
    value: float | None
    unit: str
    kept: bool
    because: str = ""


@attrs.frozen(kw_only=True)
class Result:
    """Everything about one scenario.

    Attributes:
        scenario: Its fields, the budgets among them.
        command: What to type to make it again.
        series: The measured window second by second; of repeats those of the last run.
        curves: Whole distributions; of repeats those of the last run.
        broken: Names of the invariants that did not hold.
        generator_bound: A generator used so much of its core that the server may do better than the figures say.
        valid: Whether the figures say something about the server; `invalid_because` says why not.
        slo: The service level that was asked for, condition by condition.
        runs: The single runs of a repeated scenario, without runs of their own.
    """

    schema: int
    scenario: dict[str, object]
    options: Mapping[str, object]
    server: dict[str, object]
    started_at: str
    machine: Machine
    versions: dict[str, str]
    commit: str
    command: str = ""
    figures: Sequence[Figure]
    budgets: Sequence[Judged]
    verdict: Verdict
    broken: tuple[str, ...]
    generators: tuple[GeneratorUse, ...]
    generator_bound: bool
    valid: bool
    invalid_because: tuple[str, ...]
    notes: tuple[str, ...]
    series: Sequence[Series] = ()
    curves: Sequence[Curve] = ()
    slo: Sequence[Condition] = ()
    runs: tuple[Result, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        scenario: Scenario,
        options: Mapping[str, object],
        server: Server,
        started_at: float,
        figures: Sequence[Figure],
        verdict: Verdict,
        generators: tuple[GeneratorUse, ...],
        notes: tuple[str, ...],
        series: Sequence[Series] = (),
        curves: Sequence[Curve] = (),
        invalid_because: tuple[str, ...] = (),
    ) -> Self:
        """Judge the figures and add where and with what the run was made.

        Args:
            started_at: Seconds since 1970.
            figures: One that is no number was not measured, and is left out.
            invalid_because: What else than a generator at its limit spoils the figures, such as a disturbed machine.
        """
        figures = [figure for figure in figures if math.isfinite(figure.value)]
        bound = tuple(
            f"generator {index} used {use.cpu_percent:.0f} % of a core: the server may do better"
            for index, use in enumerate(generators)
            if use.bound
        )
        return cls(
            schema=SCHEMA,
            scenario=msgspec.to_builtins(scenario),
            options=options,
            server={"url": server.url, "ready_s": server.ready_s},
            started_at=datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds"),
            machine=Machine.here(),
            versions=versions(),
            commit=commit(),
            figures=figures,
            budgets=_judge(scenario.budgets, figures),
            verdict=verdict,
            broken=verdict.broken(),
            generators=generators,
            generator_bound=bool(bound),
            valid=not (bound or invalid_because),
            invalid_because=bound + invalid_because,
            notes=notes,
            series=series,
            curves=curves,
        )

    @property
    def name(self) -> str:
        """The scenario's name."""
        return str(self.scenario.get("name", ""))

    @property
    def title(self) -> str:
        """The scenario's title."""
        return str(self.scenario.get("title", ""))

    def figure(self, name: str) -> Figure | None:
        """The figure of that name, where this result has one."""
        return next((figure for figure in self.figures if figure.name == name), None)


def _judge(budgets: Sequence[Budget], figures: Sequence[Figure]) -> list[Judged]:
    values = {figure.name: figure.value for figure in figures}
    return [
        Judged(budget.figure, value, budget.must, budget.aim, budget.met(value), budget.at_least)
        for budget in budgets
        if (value := values.get(budget.figure)) is not None
    ]


def merged(runs: Sequence[Result]) -> Result:
    """Several runs of one scenario as one result: medians with their spread, counts added up, faults of any run.

    One run is given back as it is. A figure that some run lacks is left out; budgets are judged by the median, and
    only those that every run judged. The first run says when it began.
    """
    if len(runs) == 1:
        return runs[0]
    figures = [
        Figure(figure.name, median(values), figure.unit, Spread.of(values))
        for figure in runs[0].figures
        if len(values := [found.value for run in runs if (found := run.figure(figure.name))]) == len(runs)
    ]
    judged = [budget for budget in runs[0].budgets if all(budget.figure in {b.figure for b in r.budgets} for r in runs)]
    budgets = [Budget(budget.figure, budget.must, budget.aim, budget.at_least) for budget in judged]
    verdict = Verdict()
    for run in runs:
        verdict = verdict.plus(run.verdict)

    def told(number: int, texts: Sequence[str]) -> list[str]:
        return [f"run {number}: {text}" for text in texts]

    return attrs.evolve(
        runs[0],
        figures=figures,
        budgets=_judge(budgets, figures),
        verdict=verdict,
        broken=verdict.broken(),
        generators=tuple(
            max(uses, key=lambda use: use.cpu_percent) for uses in zip(*(r.generators for r in runs), strict=False)
        ),
        generator_bound=any(run.generator_bound for run in runs),
        valid=all(run.valid for run in runs),
        invalid_because=tuple(text for n, run in enumerate(runs, 1) for text in told(n, run.invalid_because)),
        notes=tuple(text for n, run in enumerate(runs, 1) for text in told(n, run.notes)),
        series=runs[-1].series,
        curves=runs[-1].curves,
        runs=tuple(runs),
    )


def to_json(results: Sequence[Result]) -> bytes:
    """The results as one JSON array, in the order they were made."""
    return msgspec.json.format(msgspec.json.encode(results), indent=2)


class _Head(msgspec.Struct):
    schema: int


def read_results(data: bytes) -> list[Result]:
    """The results that `to_json` wrote.

    Raises:
        BenchError: It is no such file, or one of another schema; the message says which.
    """
    try:
        heads = msgspec.json.decode(data, type=list[_Head])
        foreign = {head.schema for head in heads} - {SCHEMA}
        if foreign:
            found = ", ".join(map(str, sorted(foreign)))
            raise BenchError(f"these are results of schema {found}; this version reads schema {SCHEMA} only")
        results = msgspec.json.decode(data, type=list[Result])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BenchError(f"this is no file of results: {exc}") from exc
    if not results:
        raise BenchError("this file holds no results")
    return results
