"""Line plots as inline SVG: no script, no network, sharp on paper, and coloured by the page's style sheet. Pure.

A plot is drawn for a column of about 500 pixels and scales with it. Lines are told apart by colour (`--c0` to `--c7`
of the page) and by dashes. Everything that is text is escaped. A value that is None breaks its line.

Left out: zooming. Every point has its value as a tooltip, and the page has a table of them beside the plot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Final

import attrs

from .figures import number

COLOURS: Final = 8
DASHES: Final = ("", "7 4", "2 4", "10 3 2 3")
WIDTH: Final = 520
HEIGHT: Final = 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 12, 38
_MOST_TOOLTIPS: Final = 400
_TICKS: Final = 6

Point = tuple[float, float | None]


@attrs.frozen
class Line:
    """One line of a plot.

    Attributes:
        points: (x, y), with x rising.
        colour: Below `COLOURS`.
        dash: Below `len(DASHES)`.
        group: What the legend calls it, once for all lines of a group; "" for its name.
    """

    name: str
    points: Sequence[Point]
    colour: int = 0
    dash: int = 0
    group: str = ""

    def values(self) -> list[float]:
        """What was seen."""
        return [y for _, y in self.points if y is not None and math.isfinite(y)]


@attrs.frozen
class Limit:
    """A level that is drawn across the plot, such as a budget."""

    name: str
    value: float


@attrs.frozen(kw_only=True)
class Plot:
    """A plot before it is drawn.

    Attributes:
        x_ticks: Where the x axis is marked, as (x, text); None: at round numbers.
        x_names: What an x stands for in a table, where it is not itself.
        log_y: Whether the y axis is logarithmic; only values above 0 are drawn then.
    """

    title: str
    unit: str
    x_title: str
    lines: Sequence[Line]
    limits: Sequence[Limit] = ()
    x_ticks: Sequence[tuple[float, str]] | None = None
    x_names: Mapping[float, str] = attrs.field(factory=dict)
    log_y: bool = False

    def svg(self) -> str:
        """The drawing, with a title and a description for those who do not see it."""
        x, y = self._scales()
        parts = [
            f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self._described())}">',
            *self._grid(x, y),
            *(_drawn(line, x, y, self.unit) for line in self.lines),
            *(self._limit(limit, y) for limit in self.limits if y.holds(limit.value)),
            "</svg>",
        ]
        return "".join(parts)

    def _scales(self) -> tuple[_Scale, _Scale]:
        xs = [x for line in self.lines for x, _ in line.points] or [0.0, 1.0]
        ys = [y for line in self.lines for y in line.values() if y > 0 or not self.log_y] or [1.0]
        across = _Scale(min(xs), max(xs), _LEFT, WIDTH - _RIGHT)
        if self.log_y:
            low, high = min(ys), max(ys) * 1.1
            return across, _Scale(low / 1.1, high, HEIGHT - _BOTTOM, _TOP, log=True)
        near = [limit.value for limit in self.limits if limit.value < 2 * max(ys)]
        top = max(*ys, *near, 0.0) * 1.05 or 1.0
        marks = ticks(min(0.0, *ys), top)
        top = max(top, 2 * marks[-1] - marks[-2]) if len(marks) > 1 and top > marks[-1] else top
        return across, _Scale(min(0.0, *ys), top, HEIGHT - _BOTTOM, _TOP)

    def _described(self) -> str:
        told = [
            f"{line.name} from {number(min(values))} to {number(max(values))} {self.unit}"
            for line in self.lines
            if (values := line.values())
        ]
        return f"{self.title}: {'; '.join(told) or 'nothing was seen'}"

    def _grid(self, x: _Scale, y: _Scale) -> Iterator[str]:
        right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        for value in log_ticks(y.low, y.high) if self.log_y else ticks(y.low, y.high):
            at = y.at(value)
            yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            yield f'<text x="{_LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{_short(value)}</text>'
        marks = self.x_ticks
        if marks is None:
            marks = [(value, _short(value)) for value in ticks(x.low, x.high, factors=(1, 2, 5, 10))]
        for value, text in marks:
            if x.holds(value):
                at = x.at(value)
                yield f'<line class="grid" y1="{_TOP}" y2="{bottom}" x1="{at:.1f}" x2="{at:.1f}"/>'
                yield f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(text)}</text>'
        yield f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
        middle = (_LEFT + right) / 2
        yield f'<text x="{middle:.0f}" y="{HEIGHT - 5}" text-anchor="middle">{escape(self.x_title)}</text>'

    def _limit(self, limit: Limit, y: _Scale) -> str:
        at = y.at(limit.value)
        right = WIDTH - _RIGHT
        return (
            f'<line class="limit" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text class="limit" x="{right - 4}" y="{at - 5:.1f}" text-anchor="end">{escape(limit.name)}</text>'
        )


@attrs.frozen
class _Scale:
    """From values to pixels."""

    low: float
    high: float
    from_px: float
    to_px: float
    log: bool = False

    def holds(self, value: float) -> bool:
        slack = (self.high - self.low) * 1e-9
        return self.low - slack <= value <= self.high + slack

    def at(self, value: float) -> float:
        turn: Callable[[float], float] = math.log if self.log else float
        span = turn(self.high) - turn(self.low)
        share = (turn(value) - turn(self.low)) / span if span else 0.5
        return self.from_px + share * (self.to_px - self.from_px)


def _drawn(line: Line, x: _Scale, y: _Scale, unit: str) -> str:
    stretches: list[list[tuple[float, float]]] = [[]]
    for at, value in line.points:
        if value is None or not math.isfinite(value) or (y.log and value <= 0):
            stretches.append([])
        else:
            stretches[-1].append((at, value))
    dash = f' stroke-dasharray="{DASHES[line.dash]}"' if DASHES[line.dash] else ""
    path = "".join(_path(stretch, x, y) for stretch in stretches if stretch)
    drawn = f'<path class="line c{line.colour}" d="{path}"{dash}/>'
    seen = [point for stretch in stretches for point in stretch]
    if len(seen) > _MOST_TOOLTIPS:
        return drawn
    dots = (
        f'<circle class="dot c{line.colour}" cx="{x.at(at):.1f}" cy="{y.at(value):.1f}" r="6">'
        f"<title>{escape(line.name)}: {number(value)} {escape(unit)}</title></circle>"
        for at, value in seen
    )
    return drawn + "".join(dots)


def _path(points: Sequence[tuple[float, float]], x: _Scale, y: _Scale) -> str:
    pixels = [f"{x.at(at):.1f} {y.at(value):.1f}" for at, value in points]
    # A single point between gaps is drawn as a line of no length, which round ends make a dot.
    return f"M{pixels[0]}L{' '.join(pixels[1:] or pixels)}"


def ticks(low: float, high: float, factors: Sequence[float] = (1, 2, 2.5, 5, 10)) -> list[float]:
    """About six round numbers within a range, at steps of a factor times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / _TICKS
    power: float = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in factors if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten within a range; only the powers where it spans more than three of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if high / low > 1000 else (1, 2, 5)
    return [value for power in powers for factor in factors if low <= (value := factor * 10.0**power) <= high]


def _short(value: float) -> str:
    """A tick: 0.5, 20, 1.5k, 2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
