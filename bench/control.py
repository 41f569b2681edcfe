"""What the bench and its generator processes say to each other: JSON lines on stdin and stdout. Data only.

The first line to a generator is its `Job`; then come `Command`s, and the generator answers with `Report`s:
`Connect` -> `Connected`; `Post` -> `Posted` once every post was answered or `drain_s` has passed; `Finish` ->
`Finished`. `Progress` comes unasked, `Failed` is the last word of a generator that cannot go on. All times are on the
system-wide monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from .invariants import Verdict
from .measure import Histogram
from .scenarios import Load


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a generator needs to know before it opens anything.

    Attributes:
        tokens: Access tokens, used in turn by the connections.
        sample: How many readers report the latency of their deliveries, spread evenly over all.
        parallel: Connections in their handshake at the same time.
    """

    host: str
    port: int
    room: str
    run: str
    tokens: list[str]
    text_bytes: int
    seed: int
    sample: int
    parallel: int
    cpu: int | None = None


class Connect(msgspec.Struct, frozen=True, tag=True):
    """Open this many more readers and posters and wait until all are subscribed."""

    readers: int
    posters: int
    timeout_s: float


class Post(msgspec.Struct, frozen=True, tag=True):
    """Post from `start_ns` to `to_ns`; measure from `from_ns` to `to_ns`. Without a load: only measure."""

    start_ns: int
    from_ns: int
    to_ns: int
    load: Load | None
    drain_s: float


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Wait until every reader has this offset, at most this long, and report."""

    last_offset: int
    timeout_s: float


Command = Connect | Post | Finish


class Connected(msgspec.Struct, frozen=True, tag=True):
    """All connections of a `Connect` are subscribed; `took` holds the nanoseconds from SYN to subscribed."""

    connections: int
    seconds: float
    took: Histogram


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Where the generator stands."""

    connected: int
    sent: int
    acked: int
    delivered: int


class Posted(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Posting is over.

    Attributes:
        last_offset: The greatest offset seen.
        unanswered: Posts without an answer when `drain_s` had passed.
        behind: Readers still connected that had not been sent the greatest offset by then.
        delivery: As in `Finished`, of this window alone.
        ack: As in `Finished`, of this window alone.
    """

    last_offset: int
    unanswered: int
    behind: int
    delivery: Histogram
    ack: Histogram


class Finished(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A generator's results; rates are over the measured window, the verdict over the whole run.

    Attributes:
        window_s: Length of the measured window as this process saw it.
        delivered: Deliveries within the window, by all readers of this process.
        acked: Posts acknowledged within the window.
        cpu_s: CPU time of this process within the window.
        refused: Error replies to posts, by code.
        cut_off: Readers that lost their connection, by reason.
        delivery: Nanoseconds from intended time to the read that completed the frame, of the sampled readers.
        ack: Nanoseconds from intended time to the acknowledgement.
    """

    window_s: float
    delivered: int
    acked: int
    sent: int
    cpu_s: float
    refused: dict[str, int]
    cut_off: dict[str, int]
    delivery: Histogram
    ack: Histogram
    verdict: Verdict


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The generator cannot go on."""

    reason: str


Report = Connected | Progress | Posted | Finished | Failed


read_job: Final[Callable[[bytes], Job]] = msgspec.json.Decoder(Job).decode
read_command: Final[Callable[[bytes], Command]] = msgspec.json.Decoder(Command).decode
read_report: Final[Callable[[bytes], Report]] = msgspec.json.Decoder(Report).decode


def line(value: Job | Command | Report) -> bytes:
    """One value as a line."""
    return msgspec.json.encode(value) + b"\n"
