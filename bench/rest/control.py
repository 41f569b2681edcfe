"""What the bench and its REST generator say to each other: JSON lines on stdin and stdout. Data only.

The generator reads its `Job`, connects, fills the rooms where reads are to come, and says `Ready`. Then it is told to
`Go`, works through the load, reads the rooms back, and says `Done`. `Progress` comes unasked; `Failed` is its last word
when it cannot go on. All times are on the system-wide monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from ..invariants import Verdict
from ..measure import Histogram
from ..scenarios import Load
from .scenario import Part


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a generator needs to know before it opens anything.

    Attributes:
        tokens: Access tokens, used in turn by the connections.
        rooms: Ids of rooms that exist and are empty.
        cpu: The core to stay on; None for any.
    """

    host: str
    port: int
    run: str
    tokens: list[str]
    rooms: list[str]
    part: Part
    load: Load
    connections: int
    page_items: int
    text_bytes: int
    seed: int
    cpu: int | None = None


class Go(msgspec.Struct, frozen=True):
    """Ask from `start_ns` to `to_ns`; measure from `from_ns` to `to_ns`; then wait so long for answers."""

    start_ns: int
    from_ns: int
    to_ns: int
    drain_s: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Connected, and the rooms are as the load needs them."""

    connections: int


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Where the generator stands; `stage` is what it does now."""

    stage: str
    asked: int
    answered: int


class Done(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The results; rates and latencies are of the measured window, the verdict is of the whole run.

    Attributes:
        window_s: Length of the measured window as this process saw it.
        asked: Requests of the load, by intended time, over the whole run.
        answered: Good answers that came within the window.
        pages: Those of them that were pages of messages.
        unanswered: Requests without an answer when the drain was over.
        cpu_s: CPU time of this process within the window.
        refused: Other answers, by status and code.
        cut_off: Connections that ended before the run did, by reason.
        latency: Of each second of the window: nanoseconds from intended time to the read that completed the answer.
    """

    window_s: float
    asked: int
    answered: int
    pages: int
    unanswered: int
    cpu_s: float
    refused: dict[str, int]
    cut_off: dict[str, int]
    latency: list[Histogram]
    verdict: Verdict


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The generator cannot go on."""

    reason: str


Report = Ready | Progress | Done | Failed

read_job: Final[Callable[[bytes], Job]] = msgspec.json.Decoder(Job).decode
read_go: Final[Callable[[bytes], Go]] = msgspec.json.Decoder(Go).decode
read_report: Final[Callable[[bytes], Report]] = msgspec.json.Decoder(Report).decode


def line(value: Job | Go | Report) -> bytes:
    """One value as a line."""
    return msgspec.json.encode(value) + b"\n"
