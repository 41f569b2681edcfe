"""The command `hubbub bench rest`."""

from __future__ import annotations

from functools import partial
from typing import get_args

import attrs
import click

from ..command import carry_out, leave
from ..options import Common, with_common
from ..scenarios import ClosedLoop, OpenLoop
from ..texts import MIN_BYTES
from .run import Options, run_rest
from .scenario import REST_POSTS, REST_READS, Part, Rest


@click.command()
@click.option("--part", type=click.Choice(get_args(Part)), help="Only this part.  [default: both]")
@click.option("--connections", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Keep-alive.")
@click.option(
    "--rooms", type=click.IntRange(1, 1_000), default=16, show_default=True, help="Rooms they are spread over."
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Open loop: requests per second.")
@click.option("--page-items", type=click.IntRange(1, 500), default=50, show_default=True, help="Messages of a page.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Measured time."
)
@click.option("--warm-up", type=click.FloatRange(0), default=2.0, show_default=True, help="Seconds before that.")
@click.option("--text-bytes", type=click.IntRange(MIN_BYTES), default=120, show_default=True, help="Size of a text.")
@with_common
def rest(
    *,
    part: Part | None,
    connections: int,
    rooms: int,
    rate: float | None,
    page_items: int,
    seconds: float,
    warm_up: float,
    text_bytes: int,
    common: Common,
) -> None:
    """Posts and cached reads over REST: requests/s, latency, CPU of each.

    Without --rate each connection has one request in flight, always; with it latency is taken from the time at which
    a request was due. Afterwards the rooms are read back: what was acknowledged must be stored, once, and in order.
    One generator process does it all (--processes and --connect-parallel do not matter here).
    """
    results = []
    for frozen in (REST_POSTS, REST_READS):
        if part not in (None, frozen.part):
            continue
        scenario = attrs.evolve(
            frozen,
            load=OpenLoop(rate) if rate else ClosedLoop(connections),
            connections=connections,
            rooms=rooms,
            page_items=page_items,
            text_bytes=text_bytes,
            seconds=seconds,
            warm_up_s=warm_up,
        )
        if not _same_shape(scenario, frozen):
            title = f"{frozen.part} over REST: {connections:,} connections, {rooms:,} rooms"
            scenario = attrs.evolve(scenario, title=title + (f", {rate:g}/s" if rate else ""), budgets=())
        options = Options(seed=common.seed, pin=common.pin)
        results.append(carry_out(common, partial(run_rest, scenario=scenario, options=options)))
    leave(common, results)


def _same_shape(scenario: Rest, frozen: Rest) -> bool:
    """Whether a frozen scenario's budgets can be judged; longer or shorter runs are the same shape."""
    return attrs.evolve(scenario, seconds=frozen.seconds, warm_up_s=frozen.warm_up_s) == frozen
