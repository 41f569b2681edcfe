"""Plots as SVG."""

import math
import re
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench.report.plot import HEIGHT, WIDTH, Limit, Line, Plot, log_ticks, ticks

values = st.none() | st.floats(0, 1e9)
PLOT = Plot(title="Latency", unit="ms", x_title="seconds", lines=[Line("p99", [(1, 10.0), (2, 20.0), (3, 15.0)])])


def coordinates(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", path)]


@given(st.lists(st.lists(values, max_size=30), max_size=4), st.booleans())
def test_whatever_was_seen_is_drawn_within_the_picture(series: list[list[float | None]], log_y: bool) -> None:
    """The drawing is well-formed, and no line leaves it."""
    lines = [Line(f"line {n}", [(float(x), y) for x, y in enumerate(ys)], n) for n, ys in enumerate(series)]
    picture = ET.fromstring(attrs.evolve(PLOT, lines=lines, log_y=log_y).svg())
    for path in picture.iter("path"):
        found = coordinates(path.get("d", ""))
        assert all(-1 <= x <= WIDTH + 1 for x in found[::2])
        assert all(-1 <= y <= HEIGHT + 1 for y in found[1::2])


def test_greater_values_are_higher_and_later_ones_to_the_right() -> None:
    """The line is the series."""
    (path,) = ET.fromstring(PLOT.svg()).iter("path")
    found = coordinates(path.get("d", ""))
    xs, ys = found[::2], found[1::2]
    assert xs == sorted(xs)
    assert ys[0] > ys[2] > ys[1]


def test_a_second_without_a_value_breaks_the_line() -> None:
    """Nothing is drawn where nothing was seen."""
    plot = attrs.evolve(PLOT, lines=[Line("p99", [(1, 10.0), (2, 11.0), (3, None), (4, 10.0), (5, math.nan)])])
    (path,) = ET.fromstring(plot.svg()).iter("path")
    assert path.get("d", "").count("M") == 2
    assert len(list(ET.fromstring(plot.svg()).iter("circle"))) == 3


def test_foreign_text_stays_text() -> None:
    """Names of lines, limits and titles cannot end their element."""
    bad = "</svg><script>alert(1)</script>\"'"
    plot = Plot(title=bad, unit=bad, x_title=bad, lines=[Line(bad, [(1, 1.0)])], limits=[Limit(bad, 1.0)])
    picture = ET.fromstring(plot.svg())
    assert not list(picture.iter("script"))
    assert "<script" not in plot.svg()


def test_a_budget_is_drawn_where_it_is_near() -> None:
    """A level far above the values would flatten them, and is left out."""
    near, far = (attrs.evolve(PLOT, limits=[Limit("budget", level)]).svg() for level in (30, 900))
    assert "budget" in near
    assert "budget" not in far


def test_the_description_says_what_the_lines_do() -> None:
    """For those who do not see them."""
    assert ET.fromstring(PLOT.svg()).get("aria-label") == "Latency: p99 from 10 to 20 ms"


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_are_few_round_and_within(low: float, span: float) -> None:
    """Between two and eight marks inside the range, at equal steps."""
    high = low + span
    if span < abs(low) * 1e-9:
        return
    found = ticks(low, high)
    assert 2 <= len(found) <= 8
    assert all(low - span * 0.01 <= tick <= high + span * 0.01 for tick in found)


@pytest.mark.parametrize(
    ("low", "high", "marks"), [(2, 220, [2, 5, 10, 20, 50, 100, 200]), (0.9, 2e3, [1, 10, 100, 1000])]
)
def test_logarithmic_ticks(low: float, high: float, marks: list[float]) -> None:
    """1, 2 and 5 of each power, or only the powers."""
    assert log_ticks(low, high) == pytest.approx(marks)
