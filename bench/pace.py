"""When the next post is due: open loop (a fixed rate) or closed loop (a fixed number in flight). Pure.

A pace hands out **intended** times. In an open loop these are the schedule's, whether or not the generator or the
server kept up, so that a stall shows in the latency of every post it delayed (no coordinated omission). In a closed
loop the intended time is the moment a slot is free.

Invariants: no intended time is before the start or at or after the stop; they never decrease; at most `in_flight`
posts are without an answer in a closed loop, `MAX_UNANSWERED` in an open one (further ones keep their time and wait).
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from .scenarios import ClosedLoop, Load, OpenLoop

MAX_UNANSWERED: Final = 10_000


class Pace(Protocol):
    """Decides when posts are due."""

    def due(self, now_ns: int, unanswered: int) -> list[int]:
        """Intended times of the posts to send now; they count as sent."""

    def next_ns(self, unanswered: int) -> int | None:
        """When `due` can next return something; None: not before an answer comes, or never again."""

    def overdue(self, now_ns: int) -> list[int]:
        """Intended times up to now that `due` could not hand out, for want of answers."""


class _Open:
    def __init__(self, rate_per_s: float, start_ns: int, stop_ns: int) -> None:
        self._gap_ns: Final = 1e9 / rate_per_s
        self._start_ns: Final = start_ns
        self._stop_ns: Final = stop_ns
        self._sent = 0

    def _at(self, number: int) -> int:
        # From the start each time: adding up a rounded gap would drift.
        return self._start_ns + int(number * self._gap_ns)

    def due(self, now_ns: int, unanswered: int) -> list[int]:
        times: list[int] = []
        while len(times) + unanswered < MAX_UNANSWERED:
            intended_ns = self._at(self._sent)
            if intended_ns > now_ns or intended_ns >= self._stop_ns:
                break
            times.append(intended_ns)
            self._sent += 1
        return times

    def next_ns(self, unanswered: int) -> int | None:
        intended_ns = self._at(self._sent)
        return None if unanswered >= MAX_UNANSWERED or intended_ns >= self._stop_ns else intended_ns

    def overdue(self, now_ns: int) -> list[int]:
        times: list[int] = []
        while (intended_ns := self._at(self._sent + len(times))) <= now_ns and intended_ns < self._stop_ns:
            times.append(intended_ns)
        return times


class _Closed:
    def __init__(self, load: ClosedLoop, start_ns: int, stop_ns: int) -> None:
        self._in_flight: Final = load.in_flight
        self._left = math.inf if load.posts is None else load.posts
        self._start_ns: Final = start_ns
        self._stop_ns: Final = stop_ns

    def due(self, now_ns: int, unanswered: int) -> list[int]:
        if not self._start_ns <= now_ns < self._stop_ns:
            return []
        count = int(min(self._in_flight - unanswered, self._left))
        self._left -= count
        return [now_ns] * count

    def next_ns(self, unanswered: int) -> int | None:
        return None if unanswered >= self._in_flight or not self._left else self._start_ns

    def overdue(self, now_ns: int) -> list[int]:
        return []  # nothing is due at any time


def make_pace(load: Load, start_ns: int, stop_ns: int) -> Pace:
    """The pace of a load that starts and stops at these times (same clock as `due`)."""
    match load:
        case OpenLoop():
            return _Open(load.rate_per_s, start_ns, stop_ns)
        case ClosedLoop():
            return _Closed(load, start_ns, stop_ns)
