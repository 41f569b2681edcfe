"""The load shapes of the bench and what each must hold. Data only, frozen.

A scenario names its shape, its invariants and its budgets (the `must` and `aim` columns of the design, for the 2-core
reference machine). A budget is judged only when the run has exactly the scenario's shape; any other shape prints its
figures without a verdict. Broken invariants fail a run, missed budgets do not.
"""

from __future__ import annotations

from typing import Final

import attrs
import msgspec


class OpenLoop(msgspec.Struct, frozen=True, tag=True):
    """Posts at a fixed rate, whatever the server does; latency counts from the scheduled time."""

    rate_per_s: float


class ClosedLoop(msgspec.Struct, frozen=True, tag=True):
    """A fixed number of posts without an answer at any time: as fast as the server goes."""

    in_flight: int


# Tagged msgspec structs and not attrs: they travel to the generator processes as a union.
Load = OpenLoop | ClosedLoop


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


@attrs.frozen(kw_only=True)
class Fanout:
    """One room, many readers, posts at a load. Holds: every reader gets every post once, in order, and stays on."""

    name: str
    title: str
    subscribers: int
    load: Load
    seconds: float
    warm_up_s: float = 2.0
    text_bytes: int = 120
    budgets: tuple[Budget, ...] = ()


@attrs.frozen(kw_only=True)
class Idle:
    """Subscribed connections that only answer pings. Holds: none of them is cut off."""

    name: str
    title: str
    connections: int
    seconds: float
    budgets: tuple[Budget, ...] = ()


FANOUT_A: Final = Fanout(
    name="A",
    title="deliveries/s: one room of 1,000, 50 posts in flight",
    subscribers=1_000,
    load=ClosedLoop(50),
    seconds=10,
    budgets=(Budget("deliveries_per_s", 700_000, 2_000_000, at_least=True),),
)
FANOUT_B: Final = Fanout(
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
IDLE_D: Final = Idle(
    name="D",
    title="idle subscribed connections: memory and connects/s",
    connections=5_000,
    seconds=5,
    budgets=(Budget("rss_per_connection_kib", 6, 2), Budget("connects_per_s", 4_000, 8_000, at_least=True)),
)
