"""Meters: what the parts of an engine count while they work, for `Engine.statistics`.

One object for all conversations of an engine, so that a quiet room holds no counters and nothing is lost with a room.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from .core.histogram import Histogram
from .tracing import PostTracer

PASS_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Meters:
    """Counters of one engine; they begin at nought when it is opened.

    Args:
        clock: seconds, monotonic.
        tracer: is told the way of each batch; None traces nothing.

    Attributes:
        passes: seconds from a commit being known to the end of the pass that gave it to the readers: the fan-out's lag.
        delivered: events that passes gave to readers. One that could not take it at once counts, and gets it when it can;
            what a reader catches up with after joining does not.
        cut_off: subscriptions that a room ended, by error code.
        quarantines: conversations that were quarantined, each time.
    """

    __slots__ = ("clock", "cut_off", "delivered", "passes", "quarantines", "tracer")

    def __init__(self, clock: Callable[[], float], tracer: PostTracer | None = None) -> None:
        self.clock = clock
        self.tracer = tracer
        self.passes = Histogram(PASS_BOUNDS_S)
        self.delivered = 0
        self.cut_off: Counter[str] = Counter()
        self.quarantines = 0
