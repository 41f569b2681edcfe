"""The command `hubbub bench soak`: hours of moderate, mixed load, and whether anything grows.

Exit codes as those of the other benches: 0 nothing leaks for certain and every check held; 1 something leaks or was broken;
2 wrong usage; 3 it could not be run, or was too short for a verdict; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import click
import trio
from rich.console import Console
from rich.status import Status

from ..operator_token import TokenFileError, load
from .errors import BenchError
from .exits import EXIT_BROKEN, EXIT_INTERRUPTED, EXIT_NOT_RUN, NotRun
from .fleet import Tell
from .server import Server, started
from .soak_load import LoadPlan
from .soak_report import LEAST_JUDGED_S, SoakResult, show, to_json
from .soak_run import SoakPlan
from .soak_run import soak as run_soak

_PIPE_COLUMNS: Final = 120
_LOG_EVERY_S: Final = 60.0


@attrs.frozen(kw_only=True)
class _Target:
    url: str | None
    token: str | None
    pid: int | None
    serve_args: str

    @contextlib.contextmanager
    def server(self, tell: Tell) -> Iterator[tuple[Server, str]]:
        """The server that was asked for and its operator's token; one of our own is stopped at the end."""
        if self.url is not None and self.token is not None:
            yield Server(url=self.url.rstrip("/"), pid=self.pid), self.token
            return
        tell("starting the server")
        with started(shlex.split(self.serve_args)) as server:
            yield server, token_of(server)


def token_of(server: Server) -> str:
    """The operator's token of a server that was started here.

    Raises:
        BenchError: it has left none.
    """
    assert server.data is not None
    try:
        return load(server.data)
    except TokenFileError as error:
        raise BenchError(str(error)) from error


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1), default=10.0, show_default=True, help="How long the load lasts.")
@click.option(
    "--warm-up",
    "warm_up_s",
    type=click.FloatRange(0),
    help="Seconds of these that are not judged.  [default: a fifth, at least 150, at most 600, never more than half]",
)
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.2),
    default=5.0,
    show_default=True,
    help="Seconds between samples.",
)
@click.option("--rate", type=click.FloatRange(0.1), default=40.0, show_default=True, help="Posts per second.")
@click.option("--readers", type=click.IntRange(4), default=120, show_default=True, help="Connections that read.")
@click.option(
    "--fill",
    type=click.IntRange(0),
    default=4_200,
    show_default=True,
    help="Posts that fill each tail before. With fewer the tails fill during the run, which looks like a leak.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of everything random.")
@click.option("--url", help="Use this running server (guests allowed) and start none. The rooms stay on it.")
@click.option("--token", envvar="HUBBUB_OPERATOR_TOKEN", show_envvar=True, help="Operator's token of the --url server.")
@click.option("--pid", type=click.IntRange(1), help="Process of the --url server, for PSS and Postgres.")
@click.option("--serve-args", default="", help="Further arguments for `hubbub serve`, as one string.")
@click.option("--json", "json_path", help="Also write the result as JSON to this file; - for stdout, no table.")
def soak(
    *,
    minutes: float,
    warm_up_s: float | None,
    interval_s: float,
    rate: float,
    readers: int,
    fill: int,
    seed: int,
    url: str | None,
    token: str | None,
    pid: int | None,
    serve_args: str,
    json_path: str | None,
) -> None:
    """Moderate mixed load for a long time: does anything grow, does anything get lost?

    Rooms of all sizes, readers that come and go and get what they missed, readers that stall, pages of history, typing, new
    rooms and guests. Every delivery is checked. The server's memory, tasks, descriptors, mailboxes and latencies are
    sampled; a series whose slope is surely above its tolerance leaks. Less than three minutes after the warm-up (by default:
    less than six in all) are too short to judge.

    Exit code: 0 nothing leaks for certain; 1 a leak or a broken check; 2 wrong usage; 3 not run or too short; 130 interrupted.
    """
    if url is not None and token is None:
        raise click.UsageError("--url needs --token: the server's figures are for its operator")
    plan = SoakPlan(
        minutes=minutes,
        warm_up_s=warm_up_s,
        interval_s=interval_s,
        load=LoadPlan(rate_per_s=rate, readers=readers, fill_items=fill),
        seed=seed,
    )
    if plan.too_short:
        click.echo(f"too short to judge leaks: that takes {LEAST_JUDGED_S:.0f} s after the warm-up", err=True)
    result = _carry_out(_Target(url=url, token=token, pid=pid, serve_args=serve_args), plan)
    if json_path == "-":
        click.echo(to_json(result))
    else:
        show(result, Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS))
        if json_path is not None:
            Path(json_path).write_bytes(to_json(result) + b"\n")
    leave(result)


def leave(result: SoakResult) -> None:
    """End with the exit code that the result calls for."""
    if result.broken or result.leaks:
        raise click.exceptions.Exit(EXIT_BROKEN)
    if result.too_short:
        raise click.exceptions.Exit(EXIT_NOT_RUN)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM is taken like Ctrl-C: by default it would end the bench and leave its server running."""
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _carry_out(target: _Target, plan: SoakPlan) -> SoakResult:
    failures: list[str] = []
    try:
        with (
            _terminable(),
            Console(stderr=True).status("starting") as status,
            target.server(tell := _teller(status)) as (server, token),
        ):
            result = trio.run(_until_told, server, token, plan, tell)
    except* BenchError as group:
        failures += [str(error) for error in _leaves(group)]
    except* KeyboardInterrupt:
        result = None
    if failures:
        raise NotRun("; ".join(failures))
    if result is None:
        raise click.exceptions.Exit(EXIT_INTERRUPTED)
    return result


def _teller(status: Status) -> Tell:
    """Shows progress in place to a person, and a line now and then in a log."""
    if sys.stderr.isatty():
        return status.update
    due_s = 0.0

    def tell(line: str) -> None:
        nonlocal due_s
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + _LOG_EVERY_S
            click.echo(line, err=True)

    return tell


async def _until_told(server: Server, token: str, plan: SoakPlan, tell: Tell) -> SoakResult | None:
    """Run to the end, or to a signal: None then."""
    result: SoakResult | None = None

    async def stop_when_told() -> None:
        async for _ in signals:
            nursery.cancel_scope.cancel()

    # A KeyboardInterrupt in the midst of anything would leave sockets behind that nobody closes.
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_when_told)
            result = await run_soak(server, token, plan, tell)
            nursery.cancel_scope.cancel()
    return result


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
