"""What the bench and its generator processes say to each other: JSON lines on stdin and stdout. Data only.

The first line to a generator is its `Job`; then come `Command`s, each answered with one report: `Connect` and `Return`
with `Connected`; `Post` with `Posted`, once every post was answered or `drain_s` has passed; `Drop` and `Stall` with
`Done`; `Finish` with `Finished`. `Interval` comes once a second of a `Post`, `Progress` unasked; `Failed` is the last
word of a generator that cannot go on. All times are on the system-wide monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from .invariants import Verdict
from .measure import Histogram
from .scenarios import Acts, Load


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a generator needs to know before it opens anything.

    Attributes:
        rooms: The rooms of this process, by name; posts go to them in turn unless weighted.
        tokens: Access tokens, used in turn by the connections.
        sample: How many readers report the latency of their deliveries, spread evenly over all.
        parallel: Connections in their handshake at the same time.
        index: Of this process among `processes`; post numbers are this plus a multiple of that.
        dialect: What the readers speak (`dialects/names.py`).
        post_dialect: What the posters speak.
    """

    host: str
    port: int
    rooms: list[str]
    run: str
    tokens: list[str]
    text_bytes: int
    seed: int
    sample: int
    parallel: int
    index: int = 0
    processes: int = 1
    cpu: int | None = None
    dialect: str = "hubbub"
    post_dialect: str = "hubbub"


class Connect(msgspec.Struct, frozen=True, tag=True):
    """Open this many more readers in each room (in the order of `Job.rooms`) and posters; wait until all are live."""

    readers: list[int]
    posters: int
    timeout_s: float


class Post(msgspec.Struct, frozen=True, tag=True):
    """Post from `start_ns` to `to_ns`; measure from `from_ns` to `to_ns`. Without a load: only measure.

    Attributes:
        weights: How often each room is posted to, relative to the others; empty: in turn.
    """

    start_ns: int
    from_ns: int
    to_ns: int
    load: Load | None
    drain_s: float
    weights: list[float] = msgspec.field(default_factory=list)
    acts: Acts = Acts()


class Drop(msgspec.Struct, frozen=True, tag=True):
    """Close the connections of all readers, without a word."""


class Return(msgspec.Struct, frozen=True, tag=True):
    """Connect all dropped readers again from where they stood; wait until each has everything up to `last_offsets`."""

    last_offsets: dict[str, int]
    timeout_s: float


class Stall(msgspec.Struct, frozen=True, tag=True):
    """Let this many readers, spread over all, stop reading for the rest of the run; they are not judged any more."""

    readers: int


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Wait until every reader has its room's last offset, at most this long, and report."""

    last_offsets: dict[str, int]
    timeout_s: float


Command = Connect | Post | Drop | Return | Stall | Finish


class Connected(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """All connections of a `Connect` or `Return` are live, and have what they missed.

    Attributes:
        cpu_s: CPU time of this process meanwhile.
        took: Nanoseconds from SYN to live, of each.
        caught_up: Nanoseconds from the beginning of the `Return` until a reader had all that it missed.
        unresumed: Readers that were told that their position could not be served.
    """

    connections: int
    seconds: float
    cpu_s: float
    took: Histogram
    caught_up: Histogram
    unresumed: int = 0


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Where the generator stands."""

    connected: int
    sent: int
    acked: int
    delivered: int


class Interval(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """About one second of a measured window; counts and times are of this second alone."""

    number: int
    seconds: float
    sent: int
    delivered: int
    acked: int
    cpu_s: float
    delivery: Histogram
    ack: Histogram


class Posted(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Posting is over. All but the first five fields are of the measured window.

    Attributes:
        last_offsets: The greatest offset seen in each room.
        unanswered: Posts without an answer when `drain_s` had passed.
        behind: Readers still connected that had not been sent their room's greatest offset by then.
        sent: Posts sent so far in the run.
        kept: Posts acknowledged so far in the run.
        window_s: Length of the measured window as this process saw it.
        delivered: Deliveries, by all readers of this process.
        acked: Posts acknowledged.
        cpu_s: CPU time of this process.
        delivery: Nanoseconds from intended time to the read that completed the frame, of the sampled readers.
        ack: Nanoseconds from intended time to the acknowledgement.
        joined: Nanoseconds from SYN to live of the readers that came meanwhile (`Acts.turnover`).
        history: Nanoseconds from intended time to the answer of reads of history.
    """

    last_offsets: dict[str, int]
    unanswered: int
    behind: int
    sent: int
    kept: int
    window_s: float
    delivered: int
    acked: int
    cpu_s: float
    delivery: Histogram
    ack: Histogram
    joined: Histogram
    history: Histogram


class Done(msgspec.Struct, frozen=True, tag=True):
    """A command without a result was carried out."""


class Finished(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A generator's account of the whole run.

    Attributes:
        refused: Error replies to posts, by code.
        cut_off: Readers that lost their connection, by reason.
    """

    refused: dict[str, int]
    cut_off: dict[str, int]
    verdict: Verdict


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The generator cannot go on."""

    reason: str


Report = Connected | Progress | Interval | Posted | Done | Finished | Failed


read_job: Final[Callable[[bytes], Job]] = msgspec.json.Decoder(Job).decode
read_command: Final[Callable[[bytes], Command]] = msgspec.json.Decoder(Command).decode
read_report: Final[Callable[[bytes], Report]] = msgspec.json.Decoder(Report).decode


def line(value: Job | Command | Report) -> bytes:
    """One value as a line."""
    return msgspec.json.encode(value) + b"\n"
