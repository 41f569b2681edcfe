"""Finding the highest rate that keeps a service level: which rate to try next. Pure.

From the first rate it doubles until a rate fails, or halves until one is kept, then cuts the ratio between the two by its
square root until they are within `precision`. Latency is noisy and one stall fails a window, so a rate has failed
only when it was tried twice in a row and failed both times. What is kept at a rate is taken to be kept below it.

Bounds: at most `MAX_TRIES` tries; a rate below `MIN_RATE_PER_S` is not tried.
"""

from __future__ import annotations

import math
from typing import Final

MAX_TRIES: Final = 40
MIN_RATE_PER_S: Final = 0.5


class Search:
    """One search; ask for `rate_per_s`, try it, say with `tried` how it went, until it is None.

    Args:
        first: The rate to begin with, posts per second.
        precision: Ratio between the lowest rate that failed and the highest that was kept, above 1, at which it ends.
    """

    def __init__(self, first: float, precision: float = 1.05) -> None:
        if first < MIN_RATE_PER_S or precision <= 1:
            raise ValueError(f"cannot search from {first} with precision {precision}")
        self._precision: Final = precision
        self._failed_once = False
        self._tries = 0
        self.kept: float | None = None
        self.failed: float | None = None
        self.rate_per_s: float | None = first

    def tried(self, *, kept: bool) -> None:
        """Whether the service level was kept at `rate_per_s`."""
        rate = self.rate_per_s
        if rate is None:
            raise ValueError("the search is over")
        self._tries += 1
        if not kept and not self._failed_once:
            self._failed_once = True
        else:
            self._failed_once = False
            if kept:
                self.kept = rate
            else:
                self.failed = rate
            self.rate_per_s = self._next()
        if self._tries >= MAX_TRIES:
            self.rate_per_s = None

    def _next(self) -> float | None:
        if self.failed is None:
            return None if self.kept is None else self.kept * 2
        if self.kept is None:
            lower = self.failed / 2
            return lower if lower >= MIN_RATE_PER_S else None
        if self.failed / self.kept <= self._precision:
            return None
        return math.sqrt(self.failed * self.kept)
