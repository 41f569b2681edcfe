"""The command `hubbub bench`: the group, its help, and the commands of the scenarios.

Results go to stdout (a table, or JSON with `--json -`), progress to stderr. Exit codes are in `exits`; how a scenario
command is written is in `command`.
"""

from __future__ import annotations

from functools import partial

import attrs
import click

from .command import carry_out, leave
from .commands import connect, durable, idle, mixed, reconnect, rooms, search, slow, sse
from .faults.cli import faults
from .growth.cli import growth
from .hostile.cli import hostile
from .micro.cli import micro
from .options import Common, with_common
from .peers.cli import peers
from .report import Result
from .report_command import report
from .rest.cli import rest
from .run import run_traffic
from .scenarios import FANOUT_A, FANOUT_B, ClosedLoop, OpenLoop, Traffic, in_words
from .soak import soak
from .texts import MIN_BYTES


@click.group()
def bench() -> None:
    """Measure a hubbub server and check its promises under load.

    \b
    hubbub bench fanout                        scenarios A and B: one big room
    hubbub bench fanout --rate 25 --seconds 20 fixed rate: CPU per delivery, latency
    hubbub bench rooms                         many small rooms: CPU per delivery, commits included
    hubbub bench durable                       posts as fast as they are acknowledged
    hubbub bench rest                          the same over REST, and cached reads
    hubbub bench mixed                         a day in a chat: rooms of all sizes, typing, reading, coming and going
    hubbub bench slow                          1 % stalled readers, and what the others notice
    hubbub bench sse                           readers on event streams
    hubbub bench idle                          memory per idle connection
    hubbub bench connect                       a storm of new connections
    hubbub bench reconnect                     a storm of readers that come back to what they missed
    hubbub bench search --slo 'p99<50ms'       the highest rate that keeps a service level
    hubbub bench report OLD.json --html a.html earlier results once more: tables, plots, --slo, --against
    \b
    hubbub bench micro                         one operation of the pure machines: time, instructions, memory
    hubbub bench faults --fault kill-server    a real server broken on purpose, then audited
    hubbub bench hostile --attack slow-heads   an attack, and what healthy clients notice
    hubbub bench soak --minutes 10             mixed load: does anything grow?
    hubbub bench growth                        rooms, readers, history ... varied: does a cost grow faster than the work?
    hubbub bench peers                         the same load on other people's servers, side by side

    Every delivery is checked for order, gaps, duplicates and loss.

    \b
    Exit codes: 0 all held; 1 a promise was broken; 2 wrong usage; 3 not run, or nothing proven;
    4 the --slo was missed; 5 worse than --against, with --fail-on-regression; 130 interrupted.

    With --url the conversation that a run makes, and all its messages, stay on that server.
    """


@bench.command()
@click.option("--subscribers", type=click.IntRange(1), help="Readers of the room.  [default: as the scenario]")
@click.option("--in-flight", type=click.IntRange(1), help="Closed loop: posts without an answer at any time.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Open loop: posts per second.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Measured time.  [default: as the scenario]")
@click.option("--warm-up", type=click.FloatRange(0), default=2.0, show_default=True, help="Seconds before that.")
@click.option("--text-bytes", type=click.IntRange(MIN_BYTES), default=120, show_default=True, help="Size of a text.")
@click.option("--posters", type=click.IntRange(1), default=10, show_default=True, help="Connections that post.")
@click.option("--sample", type=click.IntRange(1), default=100, show_default=True, help="Readers timed, per generator.")
@with_common
def fanout(
    *,
    subscribers: int | None,
    in_flight: int | None,
    rate: float | None,
    seconds: float | None,
    warm_up: float,
    text_bytes: int,
    posters: int,
    sample: int,
    common: Common,
) -> None:
    """One room, many readers: deliveries/s or CPU per delivery, and latency.

    Without --in-flight and --rate both scenarios run: A (1,000 readers, 50 posts in flight, 10 s) and B (2,000
    readers, 25 posts/s, 20 s). Latency is taken from the intended time of a post to the read that brought it.
    """
    if in_flight is not None and rate is not None:
        raise click.UsageError("--in-flight and --rate exclude each other")
    options = common.options(posters=posters, sample=sample)
    results: list[Result] = []
    for frozen in _chosen(in_flight, rate):
        scenario = attrs.evolve(
            frozen,
            load=ClosedLoop(in_flight) if in_flight else OpenLoop(rate) if rate else frozen.load,
            subscribers=subscribers or frozen.subscribers,
            seconds=seconds or frozen.seconds,
            warm_up_s=warm_up,
            text_bytes=text_bytes,
        )
        if not scenario.has_shape_of(frozen):
            scenario = attrs.evolve(scenario, name="fanout", title=_title(scenario), budgets=())
        results.append(carry_out(common, partial(run_traffic, scenario=scenario, options=options)))
    leave(common, results)


def _chosen(in_flight: int | None, rate: float | None) -> list[Traffic]:
    if in_flight is not None:
        return [FANOUT_A]
    return [FANOUT_B] if rate is not None else [FANOUT_A, FANOUT_B]


def _title(scenario: Traffic) -> str:
    return f"one room of {scenario.subscribers:,}, {in_words(scenario.load)}"


bench.add_command(rooms)
bench.add_command(durable)
bench.add_command(mixed)
bench.add_command(slow)
bench.add_command(sse)
bench.add_command(idle)
bench.add_command(connect)
bench.add_command(reconnect)
bench.add_command(search)
bench.add_command(report)
bench.add_command(faults)
bench.add_command(hostile)
bench.add_command(rest)
bench.add_command(growth)
bench.add_command(micro)
bench.add_command(peers)
bench.add_command(soak)
