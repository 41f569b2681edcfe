"""What the connections of one table share: its settings, its timers, its counters, and the work left for a turn's end.

The ledger is how a connection asks the table for something ("close me", "call me again") without knowing the table.
Everything here belongs to one trio task at a time: nothing in it awaits.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from attrs.validators import ge, gt

from .http_message import encode, problem
from .poller import Poller
from .ports import Gate
from .wheel import Wheel

if TYPE_CHECKING:
    from .connection import TableConnection

REFUSAL = encode(
    problem(503, "The server has no room for more connections.", ("retry-after", "5"), code="overloaded"),
    keep_alive=False,
)
"""Without a request id: nothing was asked yet, and what crowds are told costs no work."""
TOO_MANY = encode(
    problem(429, "This address has too many connections.", ("retry-after", "5"), code="limit_exceeded"),
    keep_alive=False,
)
"""What a socket is sent whose address has too many open."""


@attrs.frozen(kw_only=True)
class TableSettings:
    """Bounds of a connection table.

    Attributes:
        max_connections: sockets held at once; the next one is sent `refusal`.
        max_refusals: refused sockets that are closed gently at once; the next one is closed with no ceremony.
        ready_per_turn: ready sockets served before other tasks of the program run.
        turn_s: how long sockets are served before other tasks run; who is left is served first in the next turn.
        accepts_per_turn: sockets accepted in one turn.
        recv_bytes: most bytes read from one socket in one turn.
        max_unsent_bytes: most bytes that may wait for one slow reader when a control reply is added.
        system_unsent_bytes: most bytes that the system keeps for one reader beside those under way to it; past that the
            connection is blocked.
        stall_s: how long a reader may take no byte while bytes wait for it.
        linger_s: how long closing may take while bytes are unsent.
        drain_s: how long, within `linger_s`, closing waits for the peer's own end when all has been sent.
        drain_bytes: most bytes read and thrown away while closing.
        accept_pause_s: how long no socket is accepted after the system ran out of descriptors or memory.
        tick_s: coarseness of every time above and of deadlines.
        refusal: what a connection over the limit is sent; b"" to close it at once.
    """

    max_connections: int = attrs.field(default=20_000, validator=gt(0))
    max_refusals: int = attrs.field(default=256, validator=ge(0))
    ready_per_turn: int = attrs.field(default=512, validator=gt(0))
    turn_s: float = attrs.field(default=0.005, validator=gt(0))
    accepts_per_turn: int = attrs.field(default=256, validator=gt(0))
    recv_bytes: int = attrs.field(default=65_536, validator=gt(0))
    max_unsent_bytes: int = attrs.field(default=1 << 20, validator=gt(0))
    system_unsent_bytes: int = attrs.field(default=256 * 1024, validator=gt(0))
    stall_s: float = attrs.field(default=20.0, validator=gt(0))
    linger_s: float = attrs.field(default=20.0, validator=gt(0))
    drain_s: float = attrs.field(default=5.0, validator=gt(0))
    drain_bytes: int = attrs.field(default=1 << 20, validator=ge(0))
    accept_pause_s: float = attrs.field(default=0.5, validator=gt(0))
    tick_s: float = attrs.field(default=0.25, validator=gt(0))
    refusal: bytes = attrs.field(default=REFUSAL, metadata={"internal": True})


@attrs.frozen(kw_only=True)
class TableStatistics:
    """A look at a table. The first five are now, the rest since the start.

    Attributes:
        connections: sockets held, closing and refused ones included.
        max_connections: the bound of `connections`, refused ones left out.
        refusals: refused sockets not yet closed.
        blocked: connections with a write that waits for the reader.
        tasks: tasks started with `start_soon` that still run.
        accepted: sockets accepted, refused ones left out.
        refused: sockets over the limit.
        closed: connections closed, refused ones included.
        released: connections handed out.
        stalled: verdicts on readers that took no byte for the stall time.
        overflowed: connections cut because too many bytes waited.
        failures: exceptions out of machines and tasks, that is, bugs.
        turns: turns of the table.
    """

    connections: int
    max_connections: int
    refusals: int
    blocked: int
    tasks: int
    accepted: int
    refused: int
    closed: int
    released: int
    stalled: int
    overflowed: int
    failures: int
    turns: int


@attrs.define
class Blockage:
    """Since when a blocked connection has taken nothing.

    `acked_bytes` is what the peer had taken when last looked; None before the first look and where it cannot be told.
    A reader may take bytes for long before the system calls its socket writable again, so readiness alone would
    convict a slow one.
    """

    since_s: float
    acked_bytes: int | None = None
    reported: bool = False


class Ledger:
    """Shared state of one table; see the module's docstring."""

    __slots__ = (
        "again",
        "asleep",
        "blocked",
        "clock",
        "closed",
        "connections",
        "counted",
        "dying",
        "failures",
        "gate",
        "overflowed",
        "poller",
        "released",
        "settings",
        "stalled",
        "wheel",
    )

    def __init__(
        self, settings: TableSettings, poller: Poller, clock: Callable[[], float], gate: Gate | None = None
    ) -> None:
        self.settings = settings
        self.gate = gate
        self.poller = poller
        self.clock = clock
        self.wheel: Wheel[TableConnection] = Wheel(settings.tick_s)
        self.connections: dict[int, TableConnection] = {}
        self.counted: dict[TableConnection, str] = {}  # by the gate
        self.blocked: dict[TableConnection, Blockage] = {}
        self.dying: list[TableConnection] = []
        self.again: deque[TableConnection] = deque()
        self.asleep = False
        self.closed = self.released = self.stalled = self.overflowed = self.failures = 0

    def uncount(self, conn: "TableConnection") -> None:
        """A connection leaves the table."""
        counted = self.counted.pop(conn, None)
        if counted is not None and self.gate is not None:
            self.gate.give_back_socket(counted)

    def stir(self) -> None:
        """See that a turn comes soon: called by whoever leaves work here, which may be another task than the table's."""
        if self.asleep:
            self.asleep = False
            self.poller.wake()
