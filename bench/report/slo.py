"""Service level objectives: `p99<50ms,lost=0` and whether a result keeps them. Pure.

Conditions are set apart by commas and must all hold. Each is a name, one of `< <= = >= >`, and a number, with a unit
or in the unit of the figure (`p99<50` is 50 ms). Names are those of figures, with short forms (`p99`, `ack.p99`,
`deliveries/s`), and of the counts of the verdict (`lost`). `p50 p90 p99 p999 max` alone are those of deliveries, or of
acks where a run delivers nothing, or of reads where it has neither.

A text that is wrong is refused when it is read, with the names that come near. A figure that a run does not have is a
condition that was not kept: nothing passes because it was not looked at. Of repeats the median is judged; the counts
are those of all runs together.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from ..invariants import Verdict
from .figures import KNOWN
from .result import Condition, Result

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
COUNTS: Final = tuple(attrs.fields_dict(Verdict))
_PARTS: Final = ("p50", "p90", "p99", "p999", "max")
_BARE: Final = ("delivery", "ack", "read")  # what a bare `p99` is taken from, in this order
_PERCENTILE: Final = re.compile("_(p50|p90|p99|p999|max)_ms$")
_SHORT: Final = {"cpu/delivery": "cpu_per_delivery_us", "rss/connection": "rss_per_connection_kib"}
# To the unit of a figure, from each unit of its dimension.
_FACTORS: Final[Mapping[str, Mapping[str, float]]] = {
    "ms": {"us": 1e-3, "ms": 1, "s": 1e3},
    "us": {"us": 1, "ms": 1e3, "s": 1e6},
    "s": {"us": 1e-6, "ms": 1e-3, "s": 1},
    "KiB": {"KiB": 1, "MiB": 1024, "GiB": 1024**2},
    "MiB": {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024},
    "%": {"%": 1},
    "1/s": {"/s": 1, "1/s": 1},
    "": {},
}
_CONDITION: Final = re.compile(
    r"([A-Za-z_][\w./]*)\s*(<=|>=|<|>|=)\s*(\d[\d_]*\.?\d*(?:e[+-]?\d+)?|\.\d+)\s*(\S*)", re.ASCII
)


class SloError(ValueError):
    """The text is no service level objective; the message says where and what would be."""


@attrs.frozen
class Objective:
    """One condition as it was written.

    Attributes:
        figures: Where the value is taken from: the first of these that the run has.
        bound: In `unit`, which is the figure's.
    """

    text: str
    figures: tuple[str, ...]
    compares: str
    bound: float
    unit: str

    def judged(self, result: Result) -> Condition:
        """Whether a result keeps this."""
        for name in self.figures:
            value = _value(result, name)
            if value is not None:
                kept = OPERATORS[self.compares](value, self.bound)
                return Condition(self.text, name, value, self.unit, kept)
        because = f"this run has no {' and no '.join(self.figures)}"
        return Condition(self.text, self.figures[0], None, self.unit, kept=False, because=because)


def _value(result: Result, name: str) -> float | None:
    if name in COUNTS:
        return float(getattr(result.verdict, name))
    greatest = result.figure(_PERCENTILE.sub("_max_ms", name)) if name.endswith("_ms") else None
    if greatest is not None and not greatest.value:
        return None  # a percentile of nothing is 0, which would keep any bound
    figure = result.figure(name)
    return None if figure is None or not math.isfinite(figure.value) else figure.value


def parse(text: str) -> tuple[Objective, ...]:
    """The conditions of a text, in its order.

    Raises:
        SloError: A condition cannot be read, names nothing known, or has a unit of another dimension.
    """
    return tuple(_objective(part.strip()) for part in text.split(","))


def judge(objectives: Sequence[Objective], result: Result) -> list[Condition]:
    """Every condition with its value, in their order."""
    return [objective.judged(result) for objective in objectives]


def _objective(text: str) -> Objective:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise SloError(f"{text!r} is no condition; write it like p99<50ms, lost=0 or deliveries/s>=100000")
    name, compares, number, unit = found.groups()
    figures = _figures(name)
    own = KNOWN[figures[0]].unit if figures[0] in KNOWN else ""
    bound = float(number)
    if unit:
        factors = _FACTORS[own]
        if unit not in factors:
            units = f"one of {', '.join(factors)}" if factors else "a number without a unit"
            raise SloError(f"{text!r}: {name} is not measured in {unit!r}, but {units}")
        bound *= factors[unit]
    if not math.isfinite(bound):
        raise SloError(f"{text!r}: this number is too great")
    return Objective(text, figures, compares, bound, own)


def _figures(name: str) -> tuple[str, ...]:
    """The figures that a name may stand for, the preferred first."""
    plain = name.replace("p99.9", "p999")
    if plain in KNOWN or plain in COUNTS:
        return (plain,)
    if plain in _PARTS:
        return tuple(f"{thing}_{plain}_ms" for thing in _BARE)
    full = _SHORT.get(plain) or plain.replace(".", "_").replace("/s", "_per_s")
    for candidate in (full, f"{full}_ms"):
        if candidate in KNOWN:
            return (candidate,)
    raise SloError(_unknown(name))


def names() -> list[str]:
    """All names that a condition may have, the short forms first."""
    short = [f"{kind.name.removesuffix('_per_s')}/s" for kind in KNOWN.values() if kind.name.endswith("_per_s")]
    things = dict.fromkeys(name[: -len("_p99_ms")] for name in KNOWN if name.endswith("_p99_ms"))
    dotted = [f"{thing}.{part}" for thing in things for part in _PARTS if f"{thing}_{part}_ms" in KNOWN]
    return [*_PARTS, *short, *dotted, *_SHORT, *COUNTS, *KNOWN]


def _unknown(name: str) -> str:
    known = names()
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
    told = f"; do you mean {', '.join(near)}?" if near else "."
    figures = ", ".join(each for each in known if each not in KNOWN)
    return f"nothing is called {name!r}{told} Known are {figures}, and every figure of the table by its full name"
