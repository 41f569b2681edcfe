"""Histogram: how often a figure fell between fixed bounds. Counts and a sum, nothing else, so that it never grows.

The bounds are given once. A value that equals a bound counts below it, as Prometheus reads buckets (``le``).
Left out: time, and every way to show it.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

import attrs


@attrs.frozen
class Distribution:
    """A look at a histogram.

    Attributes:
        bounds: upper ends of the buckets, rising.
        counts: values up to `bounds[i]` and above the bound before; one more for those above all of them.
        total: the sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def running(self) -> list[int]:
        """Values up to each bound, and last all of them."""
        return list(accumulate(self.counts))


class Histogram:
    """Counts values by bucket.

    Args:
        bounds: upper ends of the buckets.

    Raises:
        ValueError: there are none, or they do not rise.
    """

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        if not bounds or any(after <= before for before, after in pairwise(bounds)):
            raise ValueError("the bounds of a histogram rise")
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def note(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def read(self) -> Distribution:
        """A snapshot."""
        return Distribution(self._bounds, tuple(self._counts), self._total)
