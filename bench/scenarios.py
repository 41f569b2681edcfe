"""The load shapes of the bench and what each must hold. Data only, frozen.

A scenario names its shape, its invariants and its budgets (the `must` and `aim` columns of the design, for the 2-core
reference machine). A budget is judged only when the run has exactly the scenario's shape; any other shape prints its
figures without a verdict. Broken invariants fail a run, missed budgets do not.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs
import msgspec


class OpenLoop(msgspec.Struct, frozen=True, tag=True):
    """Posts at a fixed rate, whatever the server does; latency counts from the scheduled time."""

    rate_per_s: float


class ClosedLoop(msgspec.Struct, frozen=True, tag=True):
    """A fixed number of posts without an answer at any time: as fast as the server goes.

    Attributes:
        posts: How many in all; None: until the time is up.
    """

    in_flight: int
    posts: int | None = None


class Acts(msgspec.Struct, frozen=True):
    """What people do besides posting, in events per second.

    Attributes:
        typing: Typing signals.
        history: Reads of a room's newest page.
        turnover: Readers that leave their room while another one comes.
    """

    typing: float = 0.0
    history: float = 0.0
    turnover: float = 0.0


NO_ACTS: Final = Acts()

# Tagged msgspec structs and not attrs: they travel to the generator processes as a union.
Load = OpenLoop | ClosedLoop


def in_words(load: Load) -> str:
    """A load as titles say it."""
    match load:
        case ClosedLoop(in_flight=in_flight):
            return f"{in_flight:,} posts in flight"
        case OpenLoop(rate_per_s=rate):
            return f"{rate:g} posts/s"


@attrs.frozen
class Budget:
    """A bound for one figure.

    Attributes:
        figure: Name of the figure in the report.
        must: The bound itself.
        aim: Where we would like to be.
        at_least: True: the figure must not be below the bound; False: not above.
    """

    figure: str
    must: float
    aim: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a value keeps the `must` bound."""
        return value >= self.must if self.at_least else value <= self.must


class Sizes(enum.Enum):
    """How readers are spread over the rooms of a scenario."""

    EVEN = "even"
    HEAVY_TAILED = "heavy-tailed"
    """Zipf's law with exponent 1: every room has a reader, and of the others the room of rank r has a share of 1/r."""


class Transport(enum.Enum):
    """What readers speak."""

    WEBSOCKET = "websocket"
    SSE = "sse"


@attrs.frozen(kw_only=True)
class Traffic:
    """Posts into rooms with readers. Holds: every reader gets every post of its room once, in order, and stays on.

    Attributes:
        rooms: Posts go to them in turn, or by their size where sizes differ.
        subscribers: Readers of all rooms together.
        stalled_percent: Readers that stop reading halfway; the same load is measured before and after.
    """

    name: str
    title: str
    rooms: int = 1
    subscribers: int
    sizes: Sizes = Sizes.EVEN
    transport: Transport = Transport.WEBSOCKET
    load: Load
    acts: Acts = NO_ACTS
    stalled_percent: float = 0.0
    seconds: float
    warm_up_s: float = 2.0
    text_bytes: int = 120
    budgets: tuple[Budget, ...] = ()

    def has_shape_of(self, frozen: Traffic) -> bool:
        """Whether a frozen scenario's budgets can be judged; longer or shorter runs are the same shape."""
        return attrs.evolve(self, seconds=frozen.seconds, warm_up_s=frozen.warm_up_s) == frozen

    def readers(self) -> list[int]:
        """Readers of each room."""
        if self.sizes is Sizes.EVEN:
            return [self.subscribers // self.rooms + (n < self.subscribers % self.rooms) for n in range(self.rooms)]
        over = max(0, self.subscribers - self.rooms)
        share = over / sum(1 / rank for rank in range(1, self.rooms + 1))
        sizes = [1 + int(share / rank) for rank in range(1, self.rooms + 1)]
        sizes[0] += self.subscribers - sum(sizes)
        return sizes


@attrs.frozen(kw_only=True)
class Idle:
    """Subscribed connections that only answer pings. Holds: none of them is cut off."""

    name: str
    title: str
    connections: int
    seconds: float
    budgets: tuple[Budget, ...] = ()


@attrs.frozen(kw_only=True)
class Storm:
    """Connections that come as fast as they are taken. Holds: all of them are subscribed, none is cut off."""

    name: str
    title: str
    rooms: int
    connections: int
    budgets: tuple[Budget, ...] = ()


@attrs.frozen(kw_only=True)
class Reconnect:
    """Readers that lose their connections and come back all at once, from where they stood.

    Holds: each gets what it missed, once and in order.

    Attributes:
        missed: Posts into each room while nobody reads.
    """

    name: str
    title: str
    rooms: int
    subscribers: int
    missed: int
    text_bytes: int = 120
    budgets: tuple[Budget, ...] = ()


@attrs.frozen(kw_only=True)
class Searched:
    """The highest rate of posts at which a service level is kept, in rooms of this shape.

    Attributes:
        traffic: The shape, and the time of one try; its load is replaced.
        first_per_s: The rate to begin with.
        precision: Ratio at which the search ends, above 1.
    """

    name: str
    title: str
    traffic: Traffic
    first_per_s: float
    precision: float = 1.05
    budgets: tuple[Budget, ...] = ()


FANOUT_A: Final = Traffic(
    name="A",
    title="deliveries/s: one room of 1,000, 50 posts in flight",
    subscribers=1_000,
    load=ClosedLoop(50),
    seconds=10,
    budgets=(Budget("deliveries_per_s", 700_000, 2_000_000, at_least=True),),
)
FANOUT_B: Final = Traffic(
    name="B",
    title="CPU per delivery: one room of 2,000, 25 posts/s",
    subscribers=2_000,
    load=OpenLoop(25),
    seconds=20,
    budgets=(
        Budget("cpu_per_delivery_us", 10, 8.5),
        Budget("delivery_p50_ms", 15, 12),
        Budget("delivery_p99_ms", 40, 25),
    ),
)
ROOMS_C: Final = Traffic(
    name="C",
    title="CPU per delivery: 500 rooms of 4, 1,000 posts/s",
    rooms=500,
    subscribers=2_000,
    load=OpenLoop(1_000),
    seconds=20,
    budgets=(Budget("cpu_per_delivery_us", 110, 65),),
)
DURABLE: Final = Traffic(
    name="durable",
    title="durable posts/s: 200 rooms of one reader, 50 posts in flight",
    rooms=200,
    subscribers=200,
    load=ClosedLoop(50),
    seconds=10,
    budgets=(Budget("posts_per_s", 5_000, 15_000, at_least=True), Budget("ack_p99_ms", 25, 20)),
)
MIXED: Final = Traffic(
    name="mixed",
    title="a day in a chat: 300 rooms with a heavy tail, posts, typing, reading, coming and going",
    rooms=300,
    subscribers=2_000,
    sizes=Sizes.HEAVY_TAILED,
    load=OpenLoop(150),
    acts=Acts(typing=60, history=20, turnover=20),
    seconds=30,
)
SLOW: Final = Traffic(
    name="slow",
    title="1 % stalled readers: one room of 1,000, 50 posts/s of 1,000 bytes",
    subscribers=1_000,
    load=OpenLoop(50),
    stalled_percent=1,
    seconds=15,
    warm_up_s=6,  # until what the kernel keeps for a stalled reader is full, and its writes block
    text_bytes=1_000,
    budgets=(Budget("p99_shift_percent", 20, 5),),
)
SSE: Final = Traffic(
    name="sse",
    title="event streams: one room of 1,000, 25 posts/s",
    subscribers=1_000,
    transport=Transport.SSE,
    load=OpenLoop(25),
    seconds=15,
)
IDLE_D: Final = Idle(
    name="D",
    title="idle subscribed connections: memory and connects/s",
    connections=5_000,
    seconds=5,
    budgets=(Budget("rss_per_connection_kib", 6, 2), Budget("connects_per_s", 4_000, 8_000, at_least=True)),
)
CONNECT: Final = Storm(
    name="connect",
    title="a storm of 5,000 new connections to 50 rooms",
    rooms=50,
    connections=5_000,
    budgets=(Budget("connects_per_s", 4_000, 8_000, at_least=True),),
)
RECONNECT: Final = Reconnect(
    name="reconnect",
    title="5,000 readers come back with 100 missed events each",
    rooms=50,
    subscribers=5_000,
    missed=100,
    budgets=(Budget("all_caught_up_s", 15, 5), Budget("store_reads", 0, 0)),
)
