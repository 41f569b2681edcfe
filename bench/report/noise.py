"""Is the difference of two sets of observations more than noise? Pure, no randomness.

Welch's t-test (B. L. Welch, Biometrika 34, 1947) on the logarithms, so that the answer is an interval of the ratio. That
is how A. Georges, D. Buytaert and L. Eeckhout compare repeated runs ("Statistically Rigorous Java Performance
Evaluation", OOPSLA 2007, section 3). Seconds of one run resemble their neighbours, so they are first averaged in batches
(non-overlapping batch means: B. Schmeiser, "Batch Size Effects in the Analysis of Simulation Output", Operations
Research 30, 1982): up to ten of at least four seconds, or five of at least three; a shorter run has no verdict.

The interval holds the true ratio in 99 of 100 cases, and a difference also has to be as great as a floor to count: one
of 2 % is real now and then, and still says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance
from typing import Final

import attrs

CONFIDENCE: Final = 0.99
LEAST_OBSERVATIONS: Final = 3
MOST_BATCHES: Final = 10
LEAST_BATCHES: Final = 5
LEAST_BATCH: Final = 3
GOOD_BATCH: Final = 4
_STEPS: Final = 100


@attrs.frozen
class Interval:
    """Where the true ratio of new to old lies, at `CONFIDENCE`."""

    low: float
    high: float

    def beyond(self, floor: float) -> bool:
        """Whether it leaves out 1, and its middle is at least `floor` (a share, such as 0.05) away from it."""
        middle = math.sqrt(self.low * self.high)
        return not self.low <= 1 <= self.high and abs(math.log(middle)) >= math.log1p(floor)


def ratio_of(old: Sequence[float], new: Sequence[float]) -> Interval | None:
    """The interval of the ratio of two means.

    Args:
        old: Independent observations, all positive.
        new: As `old`; not necessarily as many.

    Returns:
        None where too little is known: fewer than `LEAST_OBSERVATIONS` on a side, or one that is not positive.
    """
    if min(len(old), len(new)) < LEAST_OBSERVATIONS or not all(0 < value < math.inf for value in (*old, *new)):
        return None
    before, after = [math.log(value) for value in old], [math.log(value) for value in new]
    share_old, share_new = variance(before) / len(before), variance(after) / len(after)
    error = math.sqrt(share_old + share_new)
    middle = fmean(after) - fmean(before)
    if error < 1e-12:  # rounding of equal values
        return Interval(math.exp(middle), math.exp(middle))
    degrees = (share_old + share_new) ** 2 / (share_old**2 / (len(before) - 1) + share_new**2 / (len(after) - 1))
    width = quantile(CONFIDENCE, degrees) * error
    return Interval(_exp(middle - width), _exp(middle + width))


def batches(values: Sequence[float | None]) -> list[float]:
    """Means of equal stretches of a series; what is left over at its begin is dropped, and so is what was not seen.

    Empty for a series so short that five stretches would have fewer than `LEAST_BATCH` points: simulated seconds that
    resemble each other by half gave 5 % false alarms with two.
    """
    seen = [value for value in values if value is not None]
    count = min(MOST_BATCHES, max(LEAST_BATCHES, len(seen) // GOOD_BATCH))
    size = len(seen) // count
    if size < LEAST_BATCH:
        return []
    first = len(seen) - size * count
    return [fmean(seen[at : at + size]) for at in range(first, len(seen), size)]


def quantile(confidence: float, degrees: float) -> float:
    """How many standard errors lie on each side of the middle, by Student's distribution.

    Args:
        confidence: The probability within, below 1.
        degrees: Of freedom, at least 1.
    """
    # With t = sqrt(degrees) * tan(a) the density is cos(a) ** (degrees - 1), on a finite range.
    low, high = 0.0, math.pi / 2
    whole = _area(high, degrees)
    for _ in range(34):
        middle = (low + high) / 2
        if _area(middle, degrees) / whole < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _area(end: float, degrees: float) -> float:
    """Simpson's rule over cos(a) ** (degrees - 1) from 0 to `end`."""
    step = end / _STEPS
    heights: list[float] = [max(0.0, math.cos(at * step)) ** (degrees - 1) for at in range(_STEPS + 1)]
    return step / 3 * (heights[0] + 4 * sum(heights[1::2]) + 2 * sum(heights[2:-1:2]) + heights[-1])


def _exp(value: float) -> float:
    return math.exp(min(700.0, max(-700.0, value)))
