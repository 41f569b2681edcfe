"""The command `hubbub bench`: picks a scenario, finds or starts a server, runs, reports.

Results go to stdout (a table, or JSON with `--json -`), progress to stderr. Exit codes: 0 all invariants held;
1 one was broken; 2 wrong usage; 3 the run could not be made; 130 interrupted (the server is stopped).
"""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

import attrs
import click
from rich.console import Console

from .errors import BenchError
from .exits import EXIT_BROKEN, EXIT_INTERRUPTED, NotRun
from .faults.cli import faults
from .fleet import Tell
from .hostile.cli import hostile
from .report import Result, show, to_json
from .run import Options, run_fanout, run_idle
from .scenarios import FANOUT_A, FANOUT_B, IDLE_D, ClosedLoop, Fanout, Idle, OpenLoop
from .server import Server, started
from .soak import soak
from .texts import MIN_BYTES

_Command = TypeVar("_Command", bound=Callable[..., object])


@attrs.frozen(kw_only=True)
class Target:
    """Which server to use, and where the result goes."""

    url: str | None
    pid: int | None
    serve_args: str
    json_path: str | None

    @contextlib.contextmanager
    def server(self, tell: Tell) -> Iterator[Server]:
        """The server that was asked for; one of our own is stopped at the end."""
        if self.url is not None:
            yield Server(url=self.url.rstrip("/"), pid=self.pid)
            return
        tell("starting the server")
        with started(shlex.split(self.serve_args)) as server:
            yield server


_common: Final = (
    click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Generator processes."),
    click.option(
        "--connect-parallel",
        type=click.IntRange(1, 4096),
        default=256,
        show_default=True,
        help="Handshakes at the same time, per generator.",
    ),
    click.option("--seed", type=int, default=1, show_default=True, help="Seed of what the posts say."),
    click.option("--pin", is_flag=True, help="Server on the first core, generators on the others."),
    click.option(
        "--url",
        help="Use this running server (http://HOST:PORT, guests allowed) and start none. The conversation stays on it.",
    ),
    click.option("--pid", type=click.IntRange(1), help="Process of the --url server, for its CPU and memory."),
    click.option("--serve-args", default="", help="Further arguments for `hubbub serve`, as one string."),
    click.option("--json", "json_path", help="Also write the result as JSON to this file; - for stdout, no table."),
)


def _with_common(command: _Command) -> _Command:
    for option in reversed(_common):
        command = option(command)
    return command


@click.group()
def bench() -> None:
    """Measure a hubbub server and check its promises under load.

    \b
    hubbub bench fanout                        scenarios A and B, each on a fresh server
    hubbub bench fanout --in-flight 50         as fast as it goes: deliveries/s
    hubbub bench fanout --rate 25 --seconds 20 fixed rate: CPU per delivery, latency
    hubbub bench idle --connections 5000       memory per connection, connects/s
    hubbub bench faults --fault kill-server    a real server broken on purpose, then audited
    hubbub bench hostile --attack slow-heads   an attack, and what healthy clients notice
    hubbub bench soak --minutes 10             mixed load: does anything grow?

    Every delivery is checked for order, gaps, duplicates and loss; a broken promise ends with exit code 1.
    Other exit codes: 2 wrong usage, 3 not run or nothing proven, 130 interrupted.
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
@_with_common
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
    processes: int,
    connect_parallel: int,
    seed: int,
    pin: bool,
    url: str | None,
    pid: int | None,
    serve_args: str,
    json_path: str | None,
) -> None:
    """One room, many readers: deliveries/s or CPU per delivery, and latency.

    Without --in-flight and --rate both scenarios run: A (1,000 readers, 50 posts in flight, 10 s) and B (2,000
    readers, 25 posts/s, 20 s). Latency is taken from the intended time of a post to the read that brought it.
    """
    if in_flight is not None and rate is not None:
        raise click.UsageError("--in-flight and --rate exclude each other")
    options = Options(
        posters=posters, processes=processes, sample=sample, parallel=connect_parallel, seed=seed, pin=pin
    )
    target = Target(url=url, pid=pid, serve_args=serve_args, json_path=json_path)
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
        if not _same_shape(scenario, frozen):
            scenario = attrs.evolve(scenario, name="fanout", title=_title(scenario), budgets=())
        results.append(_carry_out(target, partial(run_fanout, scenario=scenario, options=options)))
    _leave(target, results)


@bench.command()
@click.option("--connections", type=click.IntRange(10), default=5_000, show_default=True, help="How many.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=5.0, show_default=True, help="Quiet time.")
@_with_common
def idle(
    *,
    connections: int,
    seconds: float,
    processes: int,
    connect_parallel: int,
    seed: int,
    pin: bool,
    url: str | None,
    pid: int | None,
    serve_args: str,
    json_path: str | None,
) -> None:
    """Idle subscribed connections: memory for each, connects/s."""
    scenario: Idle = attrs.evolve(IDLE_D, connections=connections, seconds=seconds)
    options = Options(posters=0, processes=processes, sample=1, parallel=connect_parallel, seed=seed, pin=pin)
    target = Target(url=url, pid=pid, serve_args=serve_args, json_path=json_path)
    _leave(target, [_carry_out(target, partial(run_idle, scenario=scenario, options=options))])


def _chosen(in_flight: int | None, rate: float | None) -> list[Fanout]:
    if in_flight is not None:
        return [FANOUT_A]
    return [FANOUT_B] if rate is not None else [FANOUT_A, FANOUT_B]


def _same_shape(scenario: Fanout, frozen: Fanout) -> bool:
    """Whether a frozen scenario's budgets can be judged; longer or shorter runs are the same shape."""
    return attrs.evolve(scenario, seconds=frozen.seconds, warm_up_s=frozen.warm_up_s) == frozen


def _title(scenario: Fanout) -> str:
    match scenario.load:
        case ClosedLoop(in_flight=in_flight):
            load = f"{in_flight:,} posts in flight"
        case OpenLoop(rate_per_s=rate):
            load = f"{rate:g} posts/s"
    return f"one room of {scenario.subscribers:,}, {load}"


class _Scenario(Protocol):
    def __call__(self, server: Server, *, tell: Tell) -> Result: ...


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM is taken like Ctrl-C: by default it would end the bench and leave its server running."""
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _carry_out(target: Target, scenario: _Scenario) -> Result:
    """Run with live progress, then show the result, unless JSON is all that was asked for."""
    try:
        with _terminable(), Console(stderr=True).status("starting") as status, target.server(status.update) as server:
            result = scenario(server, tell=status.update)
    except BenchError as exc:
        raise NotRun(str(exc)) from exc
    except KeyboardInterrupt:
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    if target.json_path != "-":
        show(result, Console())
    return result


def _leave(target: Target, results: Sequence[Result]) -> None:
    """Write the JSON where one is wanted; end with the exit code that the results call for."""
    if target.json_path == "-":
        click.echo(to_json(results))
    elif target.json_path is not None:
        Path(target.json_path).write_bytes(to_json(results) + b"\n")
    if any(result.broken for result in results):
        raise click.exceptions.Exit(EXIT_BROKEN)


bench.add_command(faults)
bench.add_command(hostile)
bench.add_command(soak)
