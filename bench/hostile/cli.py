"""The command `hubbub bench hostile`. Exit codes as of the other bench commands: 0 all held, 1 something broke, 2 wrong usage,
3 could not be run, 130 interrupted."""

from __future__ import annotations

import contextlib
import shlex
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import click
from rich.console import Console

from ..errors import BenchError
from ..exits import EXIT_BROKEN, EXIT_INTERRUPTED, NotRun
from ..fleet import Tell
from ..server import Server, started
from .attacks import ATTACKS, Attack, find
from .judge import Played
from .report import show, to_json
from .run import Options, run_attack

_WIDTH: Final = 110  # of the table where there is no terminal to ask


@click.command()
@click.option(
    "--attack",
    "names",
    multiple=True,
    type=click.Choice([attack.name for attack in ATTACKS]),
    help="Only this one; may be repeated.  [default: all]",
)
@click.option("--list", "wants_list", is_flag=True, help="Say what the attacks are, and play none.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Length of the phases before and after, and the least of an attack.",
)
@click.option("--readers", type=click.IntRange(1), default=40, show_default=True, help="Healthy readers.")
@click.option("--posters", type=click.IntRange(1), default=4, show_default=True, help="Healthy connections that post.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), default=25.0, show_default=True, help="Posts per second."
)
@click.option("--control/--no-control", default=True, help="Measure beside innocent use of as much CPU.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of what the attackers draw.")
@click.option("--url", help="Use this running server (http://HOST:PORT, guests allowed) for all attacks; start none.")
@click.option("--pid", type=click.IntRange(1), help="Process of the --url server, for its CPU and memory.")
@click.option("--serve-args", default="", help="Further arguments for `hubbub serve`, as one string.")
@click.option("--json", "json_path", help="Also write the results as JSON to this file; - for stdout, no table.")
def hostile(
    *,
    names: tuple[str, ...],
    wants_list: bool,
    seconds: float,
    readers: int,
    posters: int,
    rate: float,
    control: bool,
    seed: int,
    url: str | None,
    pid: int | None,
    serve_args: str,
    json_path: str | None,
) -> None:
    """Slow and hostile clients: what the healthy ones notice of them.

    Every attack is played on a fresh server (unless there is a --url) before a room of healthy readers and posters, and must
    end as documented, within its bounds, while nothing is lost, doubled or reordered.

    Exit code: 0 all held; 1 something broke; 2 wrong usage; 3 could not be run; 130 interrupted.
    """
    if wants_list:
        _list(Console())
        return
    options = Options(readers=readers, posters=posters, rate_per_s=rate, seconds=seconds, seed=seed, control=control)
    attacks = [find(name) for name in names] or list(ATTACKS)
    given = None if url is None else Server(url=url.rstrip("/"), pid=pid)
    started_at = time.time()
    plays = _play(attacks, options, given, shlex.split(serve_args))
    if json_path != "-":
        show(plays, Console(width=None if Console().is_terminal else _WIDTH))
    if json_path is not None:
        document = to_json(plays, attrs.asdict(options), started_at)
        if json_path == "-":
            click.echo(document)
        else:
            Path(json_path).write_bytes(document + b"\n")
    if any(played.broken for played in plays):
        raise click.exceptions.Exit(EXIT_BROKEN)


def _list(console: Console) -> None:
    for attack in ATTACKS:
        console.print(f"[bold]{attack.name}[/]: {attack.does} ({attack.connections:,} connections)", highlight=False)
        console.print(f"  bound: {attack.bound}", highlight=False)
        must = ", ".join(sorted(attack.outcomes.must | attack.replies.must))
        console.print(f"  outcome: {must}", highlight=False)


def _play(attacks: Sequence[Attack], options: Options, given: Server | None, arguments: Sequence[str]) -> list[Played]:
    """One after the other, with live progress."""
    plays: list[Played] = []
    try:
        with _terminable(), Console(stderr=True).status("starting") as status:
            for attack in attacks:
                with _server(given, arguments, status.update) as server:
                    plays.append(run_attack(server, attack, options, status.update))
    except BenchError as exc:
        raise NotRun(str(exc)) from exc
    except KeyboardInterrupt:
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    return plays


@contextlib.contextmanager
def _server(given: Server | None, arguments: Sequence[str], tell: Tell) -> Iterator[Server]:
    if given is not None:
        yield given
        return
    tell("starting the server")
    with started(arguments) as server:
        yield server


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM is taken like Ctrl-C: by default it would end the bench and leave its server running."""
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
