"""Does a series of samples rise? A robust slope with an honest interval, and a verdict against a tolerance. Pure.

The slope is Theil and Sen's: the median of the slopes between all pairs of points, so that a third of the points may be wild.
Its interval is Sen's (1968), widened for samples that resemble the ones before (Hamed and Rao, 1998): memory and load wander,
and an interval for independent samples would call half of all walks a leak.

A series leaks when the lower end of its interval is above the tolerance, **and** its second half still rises by more than
that: memory that levels off has risen too, and a single step is no leak. It is flat when the upper end is not above the
tolerance. Anything else is unclear: a longer run will tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from statistics import NormalDist, median
from typing import Final

import attrs

LEAST_POINTS: Final = 8
MOST_POINTS: Final = 600
CONFIDENCE: Final = 0.99
_H_PER_S: Final = 1 / 3600


class Trend(Enum):
    """What a series does."""

    FLAT = "flat"
    LEAKS = "leaks"
    UNCLEAR = "unclear"


@attrs.frozen
class Slope:
    """Change per hour, with the ends of its interval at `CONFIDENCE`."""

    per_h: float
    low: float
    high: float


@attrs.frozen
class Judged:
    """A series and what it does.

    Attributes:
        slope: over all of it.
        late_per_h: the slope of its second half.
        tolerance_per_h: how much it may rise.
    """

    slope: Slope
    late_per_h: float
    tolerance_per_h: float
    trend: Trend


def judge(times_s: Sequence[float], values: Sequence[float], tolerance_per_h: float) -> Judged:
    """Say whether a series rises by more than a tolerance.

    Args:
        times_s: rising.
        values: one for each time.
        tolerance_per_h: units of the values per hour.

    Raises:
        ValueError: fewer than `LEAST_POINTS` samples, or not as many values as times.
    """
    if len(times_s) != len(values) or len(values) < LEAST_POINTS:
        raise ValueError(f"{len(times_s)} times and {len(values)} values; at least {LEAST_POINTS} of each are needed")
    slope = slope_of(times_s, values)
    half = len(values) // 2
    late = _median_slope(*_thinned(times_s[half:], values[half:])) / _H_PER_S
    if slope.low > tolerance_per_h and late > tolerance_per_h:
        trend = Trend.LEAKS
    elif slope.high <= tolerance_per_h:
        trend = Trend.FLAT
    else:
        trend = Trend.UNCLEAR
    return Judged(slope, late, tolerance_per_h, trend)


def slope_of(times_s: Sequence[float], values: Sequence[float]) -> Slope:
    """The Theil-Sen slope per hour with its interval; for at least three points."""
    times, points = _thinned(times_s, values)
    slopes = sorted(_slopes(times, points))
    middle = median(slopes)
    residuals = [value - middle * at for at, value in zip(times, points, strict=True)]
    spread = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(_variance(len(points)) * _inflation(residuals))
    last = len(slopes) - 1
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(last, math.ceil((len(slopes) + spread) / 2))
    return Slope(middle / _H_PER_S, slopes[low] / _H_PER_S, slopes[high] / _H_PER_S)


def _slopes(times: Sequence[float], values: Sequence[float]) -> list[float]:
    return [
        (values[j] - values[i]) / (times[j] - times[i])
        for j in range(1, len(values))
        for i in range(j)
        if times[j] > times[i]
    ]


def _median_slope(times: Sequence[float], values: Sequence[float]) -> float:
    return median(_slopes(times, values))


def _thinned(times: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most `MOST_POINTS` points: medians of equal runs, since the number of pairs grows with the square."""
    run = math.ceil(len(values) / MOST_POINTS)
    if run <= 1:
        return list(times), list(values)
    starts = range(0, len(values) - run + 1, run)
    return [median(times[at : at + run]) for at in starts], [median(values[at : at + run]) for at in starts]


def _variance(count: int) -> float:
    """Of Kendall's S without ties."""
    return count * (count - 1) * (2 * count + 5) / 18


def _inflation(residuals: Sequence[float]) -> float:
    """How much wider the variance is because neighbours resemble each other; at least 1."""
    count = len(residuals)
    ranks = _ranks(residuals)
    mean = (count - 1) / 2
    centred = [rank - mean for rank in ranks]
    total = sum(value * value for value in centred)
    if total == 0:
        return 1.0
    significant = NormalDist().inv_cdf(0.975) / math.sqrt(count)
    added = 0.0
    for lag in range(1, count // 2):
        alike = sum(a * b for a, b in zip(centred, centred[lag:], strict=False)) / total
        if alike < significant:
            break  # what comes after the first that is none is noise of the estimate
        added += (count - lag) * (count - lag - 1) * (count - lag - 2) * alike
    return 1 + 2 * added / (count * (count - 1) * (count - 2))


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 0, equal values sharing theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for at in range(start, end + 1):
            ranks[order[at]] = (start + end) / 2
        start = end + 1
    return ranks
