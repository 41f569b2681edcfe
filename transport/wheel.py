"""Coarse timers for the connections of one table: a wheel of ticks, one deadline a connection.

Invariants:
- A deadline is never taken before its time, and at the latest one tick after it (while the owner calls `take` every tick).
- Moving a deadline later costs no bookkeeping: the item stays in the earlier tick and is moved when that tick comes.
  A busy connection re-arms with every message, so this is the common case.
- An item stands in at most one tick, and `forget` removes it from there: the wheel never keeps a closed connection alive.
- Ticks keep insertion order, so the same calls give the same order (the simulation relies on it).

Sans-I/O: times are arguments, in seconds of any clock that does not run backwards. Not here: who calls `take`.
"""

import math
from typing import Generic, TypeVar


class Timed:
    """What a wheel can hold. The two ticks belong to the wheel; 0 means none."""

    __slots__ = ("bucket_tick", "due_tick")

    def __init__(self) -> None:
        self.due_tick = 0
        self.bucket_tick = 0


T = TypeVar("T", bound=Timed)


class Wheel(Generic[T]):
    """Deadlines by tick of `tick_s` seconds."""

    __slots__ = ("_buckets", "_last_tick", "_tick_s")

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._last_tick = 0  # every tick up to this one has been taken
        self._buckets: dict[int, dict[T, None]] = {}

    def arm(self, timed: T, at_s: float) -> None:
        """Set the deadline of `timed` to `at_s`, in place of an earlier one."""
        due = max(math.ceil(at_s / self._tick_s), self._last_tick + 1)
        timed.due_tick = due
        if not timed.bucket_tick or timed.bucket_tick > due:
            self._unplace(timed)
            self._place(timed, due)

    def shorten(self, timed: T, at_s: float) -> None:
        """Set the deadline of `timed` to `at_s` unless an earlier one is set."""
        if not timed.due_tick or math.ceil(at_s / self._tick_s) < timed.due_tick:
            self.arm(timed, at_s)

    def clear(self, timed: T) -> None:
        """Drop the deadline. The item leaves its tick when that comes: most are armed again before."""
        timed.due_tick = 0

    def forget(self, timed: T) -> None:
        """Drop the deadline and every reference to `timed`."""
        timed.due_tick = 0
        self._unplace(timed)

    def take(self, now_s: float, limit: int) -> tuple[list[T], bool]:
        """Take out items that are due at `now_s`.

        Args:
            now_s: the time, in seconds.
            limit: how many items are looked at in this call.

        Returns:
            The items, and whether more may be due now (call again, after a pause for others).
        """
        now_tick = int(now_s / self._tick_s)
        taken: list[T] = []
        for tick in self._ticks_until(now_tick):
            bucket = self._buckets.get(tick)
            while bucket:
                if not limit:
                    return taken, True
                limit -= 1
                # The last in: taking the first of a dict again and again would walk over the places already empty.
                timed, _ = bucket.popitem()
                timed.bucket_tick = 0
                if timed.due_tick > now_tick:
                    self._place(timed, timed.due_tick)
                elif timed.due_tick:
                    timed.due_tick = 0
                    taken.append(timed)
            self._buckets.pop(tick, None)
            self._last_tick = max(tick, self._last_tick)
        self._last_tick = max(now_tick, self._last_tick)
        return taken, False

    def _ticks_until(self, now_tick: int) -> list[int] | range:
        ticks = range(self._last_tick + 1, now_tick + 1)
        if len(ticks) <= len(self._buckets):
            return ticks
        # The clock has jumped (a suspended machine, a test): look at what there is, not at every tick between.
        return sorted(tick for tick in self._buckets if tick <= now_tick)

    def _place(self, timed: T, tick: int) -> None:
        timed.bucket_tick = tick
        self._buckets.setdefault(tick, {})[timed] = None

    def _unplace(self, timed: T) -> None:
        bucket = self._buckets.get(timed.bucket_tick)
        if bucket is not None:
            del bucket[timed]
            if not bucket:
                del self._buckets[timed.bucket_tick]
            timed.bucket_tick = 0
