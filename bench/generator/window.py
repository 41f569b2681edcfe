"""The measured time: what was delivered, acknowledged and spent in it, as a whole and second by second. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

from .. import control
from ..measure import Histogram

INTERVAL_NS: Final = 1_000_000_000


def marks(from_ns: int, to_ns: int) -> deque[int]:
    """When to take counts: at both ends and every second between, the last interval being up to twice as long."""
    between = range(from_ns + INTERVAL_NS, to_ns - INTERVAL_NS + 1, INTERVAL_NS)
    return deque([from_ns, *between, to_ns])


@attrs.frozen
class Counts:
    """Where the counters of a generator stand at one moment."""

    at_ns: int
    sent: int
    delivered: int
    acked: int
    cpu_s: float


class Window:
    """Latencies of posts that were meant for the measured time, and the counters at its marks.

    Args:
        from_ns: Its first nanosecond.
        to_ns: The one after its last.
    """

    def __init__(self, from_ns: int, to_ns: int) -> None:
        self._intended: Final = range(from_ns, to_ns)
        self._first: Counts | None = None
        self._last: Counts | None = None
        self._number = 0
        self.delivery: Final = Histogram()
        self.ack: Final = Histogram()
        self.joined: Final = Histogram()
        self.history: Final = Histogram()
        self._delivery = Histogram()
        self._ack = Histogram()

    def delivered(self, intended_ns: int, now_ns: int) -> None:
        """A sampled reader got a post."""
        if intended_ns in self._intended:
            self._delivery.record(now_ns - intended_ns)

    def acked(self, intended_ns: int, now_ns: int) -> None:
        """A post was acknowledged."""
        if intended_ns in self._intended:
            self._ack.record(now_ns - intended_ns)

    def answered(self, intended_ns: int, now_ns: int) -> None:
        """A read of history was answered."""
        if intended_ns in self._intended:
            self.history.record(now_ns - intended_ns)

    def mark(self, counts: Counts) -> control.Interval | None:
        """Take the counts at a mark; the interval that it ends, None at the first."""
        last, self._last = self._last, counts
        if last is None:
            self._first = counts
            self._settle()  # of the warm-up nothing is measured
            return None
        delivery, ack = self._settle()
        self._number += 1
        return control.Interval(
            number=self._number - 1,
            seconds=(counts.at_ns - last.at_ns) / 1e9,
            sent=counts.sent - last.sent,
            delivered=counts.delivered - last.delivered,
            acked=counts.acked - last.acked,
            cpu_s=counts.cpu_s - last.cpu_s,
            delivery=delivery,
            ack=ack,
        )

    def _settle(self) -> tuple[Histogram, Histogram]:
        delivery, ack = self._delivery, self._ack
        self.delivery.merge(delivery)
        self.ack.merge(ack)
        self._delivery, self._ack = Histogram(), Histogram()
        return delivery, ack

    def result(
        self, *, last_offsets: dict[str, int], unanswered: int, behind: int, sent: int, kept: int
    ) -> control.Posted:
        """The window as a whole; what came after its end for posts from within it is included."""
        self._settle()
        first, last = self._first, self._last
        assert first is not None
        assert last is not None
        return control.Posted(
            last_offsets=last_offsets,
            unanswered=unanswered,
            behind=behind,
            sent=sent,
            kept=kept,
            window_s=(last.at_ns - first.at_ns) / 1e9,
            delivered=last.delivered - first.delivered,
            acked=last.acked - first.acked,
            cpu_s=last.cpu_s - first.cpu_s,
            delivery=self.delivery,
            ack=self.ack,
            joined=self.joined,
            history=self.history,
        )
