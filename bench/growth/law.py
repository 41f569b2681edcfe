"""The law of a cost: its slope on double logarithmic axes, and what that comes to. Pure.

A cost of fixed and growing parts is flat at first and steep at the end, so a fit over everything would flatter it: the verdict
goes by the steeper of two fits, one over all points and one over the last order of magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

Points = Sequence[tuple[float, float]]

TOLERANCE: Final = 0.2
"""Of a slope: what caches and a shared machine put on top. A cost that doubles over three orders has a slope of 0.1."""


class Law(StrEnum):
    """How a cost grows, from best to worst."""

    NOTHING = "nothing"
    CONSTANT = "constant"
    LINEAR = "linear"
    WORSE = "worse"

    def within(self, allowed: Law) -> bool:
        """Whether it is no worse than what is allowed."""
        order = list(Law)
        return order.index(self) <= order.index(allowed)


def slope(points: Points) -> float:
    """The exponent of a power law through points, by least squares on logarithms.

    Raises:
        ValueError: less than two sizes, or a value that is not positive.
    """
    if any(size <= 0 or value <= 0 for size, value in points):
        raise ValueError("a logarithm needs positive numbers")
    xs, ys = [math.log(size) for size, _ in points], [math.log(value) for _, value in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if not spread:
        raise ValueError("one size has no slope")
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


def exponent(points: Points, floor: float) -> float | None:
    """The steeper of the fits over all points and over the last order of magnitude; None when nothing exceeds `floor`.

    Args:
        points: size and cost, by size.
        floor: a cost below this is taken for it: it cannot be told from nothing.
    """
    if all(value <= floor for _, value in points):
        return None
    raised = [(size, max(value, floor)) for size, value in points]
    end = [point for place, point in enumerate(raised) if point[0] * 10 >= raised[-1][0] or place >= len(raised) - 2]
    return max(slope(raised), slope(end))


def law(points: Points, floor: float) -> Law:
    """What a cost comes to; arguments as for `exponent`."""
    found = exponent(points, floor)
    if found is None:
        return Law.NOTHING
    if found <= TOLERANCE:
        return Law.CONSTANT
    return Law.LINEAR if found <= 1 + TOLERANCE else Law.WORSE
