"""The body of `/api/v1/admin/figures`, as types; see `shapes`. Counters begin at nought when the server starts."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from .parameters import Timestamp, Whole

Seconds = Annotated[float, Meta(ge=0)]


class Histogram(Struct):
    """How often something took so long at most. `counts` has one item more than `bounds`: the last is of all."""

    bounds: list[Seconds]
    counts: list[Whole]


class RoomFigures(Struct):
    """Conversations in memory, and who follows them."""

    conversations: Whole
    subscribers: Whole
    paging: Annotated[int, Meta(ge=0, description="Subscribers that read pages of the log.")]
    mailbox: Whole
    waiting: Whole
    tail_bytes: Whole
    delivered: Annotated[int, Meta(ge=0, description="Events given to readers so far.")]
    crashes: Whole
    quarantined: Whole
    fanout_seconds: Histogram


class CommitFigures(Struct):
    """The storage actor."""

    transactions: Whole
    rows: Whole
    failures: Whole
    queued: Whole
    queue_capacity: Whole
    seconds: Histogram


class ConnectionKinds(Struct):
    """Open connections by what they speak."""

    http: Whole
    events: Whole
    websocket: Whole
    sse: Whole
    http_stream: Whole


class ConnectionFigures(Struct):
    """Connections; `open`, `kinds` and `blocked` are now, the others so far."""

    open: Whole
    capacity: Whole
    kinds: ConnectionKinds
    blocked: Annotated[int, Meta(ge=0, description="Connections whose reader takes no more now.")]
    accepted: Whole
    refused: Whole
    cut_off: Annotated[int, Meta(ge=0, description="Slow readers cut off.")]


class RefusalFigures(Struct):
    """How often something was refused for one reason."""

    code: str
    count: Whole


class ProcessFigures(Struct):
    """The server's process."""

    cpu_seconds: Seconds
    peak_memory_bytes: Whole
    tasks: Whole
    loop_lag_worst_seconds: Annotated[float, Meta(ge=0, description="Of the last 15 to 30 seconds.")]


class Figures(Struct):
    """What the server counts."""

    at: Timestamp
    version: str
    generation: Annotated[int, Meta(ge=0, description="Of the settings in force.")]
    ready: bool
    problems: list[str]
    rooms: RoomFigures
    commits: CommitFigures | None
    connections: ConnectionFigures
    refusals: list[RefusalFigures]
    process: ProcessFigures
