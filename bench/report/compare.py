"""An earlier file of results against the one just made: what changed beyond noise, and for the better or worse. Pure.

Results are matched by the shape of their scenario. What makes a comparison meaningless (another load, other readers)
refuses it; what makes it doubtful (another machine, other settings, a shorter run, an invalid run) is told beside it.

The noise of a figure comes from the repeats where both sides have at least three runs. Otherwise it comes from the
seconds within one run, for the figures that have a series: such noise does not know how runs differ from each other
(placement in memory, what else the machine does), so the floor below which nothing counts is higher. A figure with
neither is shown without a verdict. The method is in `noise`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

import attrs

from .figures import Better, kind_of
from .noise import LEAST_OBSERVATIONS, Interval, batches, ratio_of
from .result import Figure, Result

FLOOR_OF_RUNS: Final = 0.02
FLOOR_OF_SECONDS: Final = 0.08
_NO_SHAPE: Final = frozenset({"name", "title", "budgets", "seconds", "warm_up_s"})
_SERIES: Final[Mapping[str, str]] = {
    "server_percent": "server_cpu_percent",
    "postgres_percent": "postgres_cpu_percent",
}
"""Figures whose series has another name than they."""


class Change(Enum):
    """What became of a figure."""

    BETTER = "better"
    WORSE = "worse"
    CHANGED = "changed"
    SAME = "same"
    UNKNOWN = "unknown"


class Basis(Enum):
    """Where the noise of a figure was taken from."""

    RUNS = "runs"
    SECONDS = "seconds"
    NOTHING = "nothing"


@attrs.frozen(kw_only=True)
class Difference:
    """One figure, then and now.

    Attributes:
        ratio: New by old; None when the old value is 0.
        interval: Of the ratio; None where the noise is not known.
    """

    figure: str
    unit: str
    old: float
    new: float
    ratio: float | None
    interval: Interval | None
    basis: Basis
    change: Change


@attrs.frozen(kw_only=True)
class Comparison:
    """One scenario, then and now.

    Attributes:
        old: The result it was compared with; None when there was none to compare with.
        refused: Why nothing is compared; empty otherwise.
        doubts: What differs beside the code and may explain a change.
        newly_broken: Invariants that held then.
    """

    new: Result
    old: Result | None
    refused: str = ""
    doubts: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    newly_broken: tuple[str, ...] = ()

    @property
    def regressed(self) -> bool:
        """Whether something is worse beyond noise."""
        return bool(self.newly_broken) or any(each.change is Change.WORSE for each in self.differences)


def compare(old: Sequence[Result], new: Sequence[Result]) -> tuple[Comparison, ...]:
    """Each new result against its match among the old ones, in the order of the new."""
    return tuple(_comparison(result, old) for result in new)


def _comparison(new: Result, olds: Sequence[Result]) -> Comparison:
    match = next((old for old in olds if _shape(old) == _shape(new)), None)
    if match is not None:
        return Comparison(
            new=new,
            old=match,
            doubts=tuple(_doubts(match, new)),
            differences=tuple(_differences(match, new)),
            newly_broken=tuple(name for name in new.broken if name not in match.broken),
        )
    namesake = next((old for old in olds if old.name == new.name), None)
    if namesake is None:
        there = ", ".join(old.name for old in olds)
        return Comparison(new=new, old=None, refused=f"the earlier file has no such scenario, only {there}")
    apart = "; ".join(_apart(_shape(namesake), _shape(new)))
    return Comparison(new=new, old=None, refused=f"not the same load as the earlier {new.name}: {apart}")


def _shape(result: Result) -> dict[str, object]:
    return {name: value for name, value in result.scenario.items() if name not in _NO_SHAPE}


def _apart(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """What differs, in words."""
    return [
        f"{name} was {old.get(name)!s}, is {new.get(name)!s}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _doubts(old: Result, new: Result) -> list[str]:
    lengths = [{name: run.scenario.get(name) for name in ("seconds", "warm_up_s")} for run in (old, new)]
    doubts = [f"machine: {text}" for text in _apart(attrs.asdict(old.machine), attrs.asdict(new.machine))]
    doubts += [f"option {text}" for text in _apart(old.options, new.options)]
    doubts += [f"scenario: {text}" for text in _apart(*lengths)]
    doubts += [f"version: {text}" for text in _apart(old.versions, new.versions)]
    doubts += [f"the earlier run is invalid: {reason}" for reason in old.invalid_because]
    return doubts + [f"this run is invalid: {reason}" for reason in new.invalid_because]


def _differences(old: Result, new: Result) -> list[Difference]:
    pairs = [(was, figure) for figure in new.figures if (was := old.figure(figure.name)) is not None]
    return [_difference(old, new, was, figure) for was, figure in pairs]


def _difference(old: Result, new: Result, was: Figure, now: Figure) -> Difference:
    interval, basis = _noise(old, new, was, now)
    ratio = now.value / was.value if was.value else None
    return Difference(
        figure=now.name,
        unit=now.unit,
        old=was.value,
        new=now.value,
        ratio=ratio,
        interval=interval,
        basis=basis,
        change=_change(now, was.value, interval, basis),
    )


def _noise(old: Result, new: Result, was: Figure, now: Figure) -> tuple[Interval | None, Basis]:
    sides = (was.spread, now.spread)
    runs = [side.values for side in sides if side is not None and len(side.values) >= LEAST_OBSERVATIONS]
    if len(runs) == len(sides):
        return ratio_of(*runs), Basis.RUNS
    name = _SERIES.get(now.name, now.name)
    seconds = [batches(each.values) for run in (old, new) for each in run.series if each.name == name]
    if len(seconds) == len(sides):
        return ratio_of(*seconds), Basis.SECONDS
    return None, Basis.NOTHING


def _change(now: Figure, old: float, interval: Interval | None, basis: Basis) -> Change:
    if interval is None:
        return Change.UNKNOWN
    floor = FLOOR_OF_RUNS if basis is Basis.RUNS else FLOOR_OF_SECONDS
    if not interval.beyond(floor):
        return Change.SAME
    rises = interval.low > 1
    if rises != (now.value > old):
        return Change.UNKNOWN  # the seconds say otherwise than the figure of the whole run
    better = kind_of(now.name, now.unit).better
    if better is Better.NEITHER:
        return Change.CHANGED
    return Change.BETTER if rises == (better is Better.HIGHER) else Change.WORSE
