"""Step: how much an actor does in a row before the others of the program run.

A step ends after so many items or after so long, whichever comes first: a crowd that joins is hundreds of questions of 20
microseconds each, and giving way after every few of them would make each wait for whole turns of the connection table; a page
of history may take milliseconds. The count is also there so that steps end where the clock stands still (simulation).
"""

from collections.abc import Callable
from typing import Final

STEP_ITEMS: Final = 64
STEP_S: Final = 0.002


class Step:
    """Counts the items of one step after another.

    Args:
        clock: seconds, monotonic.
    """

    __slots__ = ("_clock", "_items", "_since_s")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._items = 0
        self._since_s = clock()

    def over(self) -> bool:
        """Note an item that was dealt with; True when the step ends with it."""
        self._items += 1
        return self._items >= STEP_ITEMS or self._clock() - self._since_s >= STEP_S

    def begin(self) -> None:
        """The next step begins now, after the others have run."""
        self._items = 0
        self._since_s = self._clock()
