"""The commands of the scenarios that have one shape: many rooms, durable posts, a day in a chat, storms, ..."""

from __future__ import annotations

from functools import partial
from typing import Final

import attrs
import click

from .command import Run, carry_out, leave
from .options import Common, with_common
from .report.slo import parse
from .run import run_traffic
from .run_search import run_search
from .run_storms import run_connect, run_idle, run_reconnect
from .scenarios import (
    CONNECT,
    DURABLE,
    IDLE_D,
    MIXED,
    RECONNECT,
    ROOMS_C,
    SLOW,
    SSE,
    ClosedLoop,
    OpenLoop,
    Searched,
    Traffic,
    Transport,
    in_words,
)

_SECONDS: Final = click.FloatRange(0, min_open=True)
_SAMPLE: Final = 200
_SEARCHED_SLO: Final = "p99<50ms,lost=0"


def _traffic(common: Common, frozen: Traffic, scenario: Traffic, *, posters: int = 10) -> None:
    """Run a scenario; its budgets are judged only in the shape that they are for, however long it runs."""
    if not scenario.has_shape_of(frozen):
        scenario = attrs.evolve(scenario, title=_title(scenario), budgets=())
    _one(common, partial(run_traffic, scenario=scenario, options=common.options(posters=posters, sample=_SAMPLE)))


def _one(common: Common, run: Run) -> None:
    leave(common, [carry_out(common, run)])


def _title(scenario: Traffic) -> str:
    return f"{scenario.rooms:,} rooms, {scenario.subscribers:,} readers, {in_words(scenario.load)}"


@click.command()
@click.option("--rooms", "count", type=click.IntRange(1), default=500, show_default=True, help="How many.")
@click.option("--size", type=click.IntRange(1), default=4, show_default=True, help="Readers of each.")
@click.option("--rate", type=_SECONDS, default=1000.0, show_default=True, help="Posts per second, all rooms together.")
@click.option("--seconds", type=_SECONDS, default=20.0, show_default=True, help="Measured time.")
@with_common
def rooms(*, count: int, size: int, rate: float, seconds: float, common: Common) -> None:
    """Many small rooms: CPU per delivery, commits included."""
    scenario = attrs.evolve(ROOMS_C, rooms=count, subscribers=count * size, load=OpenLoop(rate), seconds=seconds)
    _traffic(common, ROOMS_C, scenario)


@click.command()
@click.option("--rooms", "count", type=click.IntRange(1), default=200, show_default=True, help="With a reader each.")
@click.option("--in-flight", type=click.IntRange(1), default=50, show_default=True, help="Posts without an answer.")
@click.option("--posters", type=click.IntRange(1), default=20, show_default=True, help="Connections that post.")
@click.option("--seconds", type=_SECONDS, default=10.0, show_default=True, help="Measured time.")
@with_common
def durable(*, count: int, in_flight: int, posters: int, seconds: float, common: Common) -> None:
    """Posts as fast as they are acknowledged: durable posts/s, and how long an acknowledgement takes."""
    scenario = attrs.evolve(DURABLE, rooms=count, subscribers=count, load=ClosedLoop(in_flight), seconds=seconds)
    _traffic(common, DURABLE, scenario, posters=posters)


@click.command()
@click.option(
    "--rooms", "count", type=click.IntRange(1), default=300, show_default=True, help="Of very different size."
)
@click.option("--readers", type=click.IntRange(1), default=2000, show_default=True, help="In all rooms together.")
@click.option(
    "--rate", type=_SECONDS, default=150.0, show_default=True, help="Posts per second; bigger rooms get more."
)
@click.option("--seconds", type=_SECONDS, default=30.0, show_default=True, help="Measured time.")
@with_common
def mixed(*, count: int, readers: int, rate: float, seconds: float, common: Common) -> None:
    """A day in a chat: posts, typing, reading history, readers that come and go."""
    scenario = attrs.evolve(MIXED, rooms=count, subscribers=max(count, readers), load=OpenLoop(rate), seconds=seconds)
    _traffic(common, MIXED, scenario)


@click.command()
@click.option("--readers", type=click.IntRange(10), default=1000, show_default=True, help="Of one room.")
@click.option("--rate", type=_SECONDS, default=50.0, show_default=True, help="Posts per second.")
@click.option(
    "--stalled", type=click.FloatRange(0, 50, min_open=True), default=1.0, show_default=True, help="In percent."
)
@click.option("--seconds", type=_SECONDS, default=15.0, show_default=True, help="Measured time, before and after.")
@with_common
def slow(*, readers: int, rate: float, stalled: float, seconds: float, common: Common) -> None:
    """Readers that stop reading: what the others notice."""
    scenario = attrs.evolve(SLOW, subscribers=readers, load=OpenLoop(rate), stalled_percent=stalled, seconds=seconds)
    _traffic(common, SLOW, scenario)


@click.command()
@click.option("--readers", type=click.IntRange(1), default=1000, show_default=True, help="Event streams of one room.")
@click.option("--rate", type=_SECONDS, default=25.0, show_default=True, help="Posts per second, over WebSocket.")
@click.option("--seconds", type=_SECONDS, default=15.0, show_default=True, help="Measured time.")
@with_common
def sse(*, readers: int, rate: float, seconds: float, common: Common) -> None:
    """Readers on event streams (SSE)."""
    _traffic(common, SSE, attrs.evolve(SSE, subscribers=readers, load=OpenLoop(rate), seconds=seconds))


@click.command()
@click.option("--connections", type=click.IntRange(10), default=5_000, show_default=True, help="How many.")
@click.option("--seconds", type=_SECONDS, default=5.0, show_default=True, help="Quiet time.")
@with_common
def idle(*, connections: int, seconds: float, common: Common) -> None:
    """Idle subscribed connections: memory for each, connects/s."""
    scenario = attrs.evolve(IDLE_D, connections=connections, seconds=seconds)
    if connections != IDLE_D.connections:
        title = f"{connections:,} idle subscribed connections: memory and connects/s"
        scenario = attrs.evolve(scenario, title=title, budgets=())
    _one(common, partial(run_idle, scenario=scenario, options=common.options(posters=0, sample=1)))


@click.command()
@click.option("--connections", type=click.IntRange(1), default=5_000, show_default=True, help="How many.")
@click.option(
    "--rooms", "count", type=click.IntRange(1), default=50, show_default=True, help="Rooms they subscribe to."
)
@with_common
def connect(*, connections: int, count: int, common: Common) -> None:
    """A storm of new connections: connects/s, CPU for each."""
    scenario = attrs.evolve(CONNECT, connections=connections, rooms=count)
    if scenario != CONNECT:
        title = f"a storm of {connections:,} new connections to {count:,} rooms"
        scenario = attrs.evolve(scenario, title=title, budgets=())
    _one(common, partial(run_connect, scenario=scenario, options=common.options(posters=0, sample=1)))


@click.command()
@click.option("--readers", type=click.IntRange(1), default=5_000, show_default=True, help="How many come back.")
@click.option("--rooms", "count", type=click.IntRange(1), default=50, show_default=True, help="Rooms they are in.")
@click.option(
    "--missed", type=click.IntRange(1), default=100, show_default=True, help="Posts into each room meanwhile."
)
@with_common
def reconnect(*, readers: int, count: int, missed: int, common: Common) -> None:
    """Readers that all come back at once to what they missed: until the last has everything, and that it has."""
    scenario = attrs.evolve(RECONNECT, subscribers=readers, rooms=count, missed=missed)
    if scenario != RECONNECT:
        scenario = attrs.evolve(
            scenario, title=f"{readers:,} readers come back with {missed:,} missed events each", budgets=()
        )
    _one(common, partial(run_reconnect, scenario=scenario, options=common.options(posters=10, sample=1)))


@click.command()
@click.option("--readers", type=click.IntRange(1), default=1000, show_default=True, help="In all rooms together.")
@click.option("--rooms", "count", type=click.IntRange(1), default=1, show_default=True, help="How many.")
@click.option(
    "--transport",
    type=click.Choice([each.value for each in Transport]),
    default="websocket",
    show_default=True,
    help="What readers speak.",
)
@click.option("--start", type=click.FloatRange(0.5), default=25.0, show_default=True, help="Posts/s to begin with.")
@click.option("--seconds", type=_SECONDS, default=5.0, show_default=True, help="Measured time of each try.")
@click.option(
    "--precision",
    type=click.FloatRange(1.01, 4),
    default=1.05,
    show_default=True,
    help="Ratio between the lowest rate that fails and the highest that is kept.",
)
@with_common
def search(
    *,
    readers: int,
    count: int,
    transport: str,
    start: float,
    seconds: float,
    precision: float,
    common: Common,
) -> None:
    """The highest rate of posts that keeps --slo (p99<50ms,lost=0 when none is given)."""
    objectives = common.slo or parse(_SEARCHED_SLO)
    traffic = Traffic(
        name="search",
        title="",
        rooms=count,
        subscribers=max(count, readers),
        transport=Transport(transport),
        load=OpenLoop(start),
        seconds=seconds,
        warm_up_s=1.0,
    )
    kept = ",".join(objective.text for objective in objectives)
    where = "one room" if count == 1 else f"{count:,} rooms"
    scenario = Searched(
        name="search",
        title=f"the highest rate that keeps {kept}: {where}, {readers:,} readers",
        traffic=traffic,
        first_per_s=start,
        precision=precision,
    )
    options = common.options(posters=10, sample=_SAMPLE)
    _one(common, partial(run_search, scenario=scenario, objectives=objectives, options=options))
