"""How late the event loop wakes a task whose time has come: what every request waits for before anybody looks at it.

A task sleeps for a tenth of a second, again and again, and notes how much longer it took. What blocks the loop for longer than
that shows in full, shorter blocks as often as they meet a waking. Costs ten wakings a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

import attrs
import trio

from ..engine.core.histogram import Distribution, Histogram

PERIOD_S: Final = 0.1
WINDOW_S: Final = 15.0
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@attrs.frozen
class LagStatistics:
    """A look at the lag, seconds.

    Attributes:
        last_s: of the last waking.
        worst_s: the greatest of the last 15 to 30 seconds.
        wakings: all of them since the start.
    """

    last_s: float
    worst_s: float
    wakings: Distribution


class LoopLag:
    """Measures while `run` runs.

    Args:
        clock: seconds, never running backwards.
    """

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._last_s = 0.0
        self._wakings = Histogram(BOUNDS_S)
        self._window = self._window_before = 0.0
        self._window_ends: float | None = None

    async def run(self) -> NoReturn:
        """Measure until cancelled."""
        while True:
            due = self._clock() + PERIOD_S
            await trio.sleep_until(due)
            self.note(self._clock() - due)

    def note(self, late_s: float) -> None:
        """Count one waking."""
        late_s = max(0.0, late_s)
        self._roll()
        self._last_s = late_s
        self._window = max(self._window, late_s)
        self._wakings.note(late_s)

    def statistics(self) -> LagStatistics:
        """A snapshot."""
        return LagStatistics(
            last_s=self._last_s,
            worst_s=max(self._window, self._window_before),
            wakings=self._wakings.read(),
        )

    def _roll(self) -> None:
        now = self._clock()
        if self._window_ends is None or now >= self._window_ends:
            self._window_before, self._window = self._window, 0.0
            self._window_ends = now + WINDOW_S
