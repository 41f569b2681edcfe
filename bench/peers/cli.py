"""The command `hubbub bench peers`: hubbub and other people's servers under the same generator, in turn.

Exit codes as in `exits`; only hubbub's own promises count, a peer that loses something is told of in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import click
import msgspec
from rich.console import Console

from ..arrange import Options
from ..command import terminable
from ..exits import EXIT_BROKEN, EXIT_INTERRUPTED, NotRun
from ..options import typed
from ..report.live import live_view
from ..scenarios import Idle
from .catalogue import BY_NAME, PEERS
from .rounds import HUBBUB, SHAPES, Comparison, Contender, Hubbub, Other, Shape, compare
from .table import show

_POSTERS: Final = 10
_SAMPLE: Final = 100


@click.command()
@click.option("--peer", "names", multiple=True, type=click.Choice([*BY_NAME]), help="Only this one; may be repeated.")
@click.option("--shape", "letters", multiple=True, type=click.Choice([*SHAPES]), help="Only this one; may be repeated.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=6.0,
    show_default=True,
    help="Measured time of A and B.",
)
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="How often everyone has a turn."
)
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Generator processes.")
@click.option("--pin", is_flag=True, help="Server on the first core, generators on the others.")
@click.option("--json", "json_path", help="Also write everything as JSON to this file; - for stdout, no table.")
@click.pass_context
def peers(
    context: click.Context,
    *,
    names: tuple[str, ...],
    letters: tuple[str, ...],
    seconds: float,
    rounds: int,
    processes: int,
    pin: bool,
    json_path: str | None,
) -> None:
    """Other servers beside hubbub: deliveries/s, CPU, latency, memory.

    A: 1,000 readers, 50 posts in flight. B: 2,000 readers, 25 posts/s. D: memory of an idle connection. All peers
    that can run here take turns with hubbub, each time as a fresh process: about 12 minutes for three rounds of all.
    A C compiler and npm are used where they are found (npm downloads once); what cannot run is listed with the reason.

    None of the peers stores anything, and they promise less: see the notes below the tables and docs/peers.md.
    """
    contenders: list[Contender] = [Hubbub(), *(Other(peer) for peer in PEERS if not names or peer.name in names)]
    options = Options(posters=_POSTERS, processes=processes, sample=_SAMPLE, pin=pin)
    shapes = {name: _timed(shape, seconds) for name, shape in SHAPES.items() if not letters or name in letters}
    found = _carried_out(contenders, shapes, rounds, options, typed(context))
    if json_path != "-":
        show(found, Console())
    _leave(found, json_path)


def _timed(shape: Shape, seconds: float) -> Shape:
    return shape if isinstance(shape, Idle) else attrs.evolve(shape, seconds=seconds)


def _carried_out(
    contenders: list[Contender], shapes: Mapping[str, Shape], rounds: int, options: Options, command: str
) -> Comparison:
    """Compare with live progress.

    Raises:
        click.exceptions.Exit: Interrupted; the server in turn is stopped.
    """
    try:
        with terminable(), live_view(Console(stderr=True)) as live:
            return compare(contenders, shapes, rounds=rounds, options=options, command=command, live=live)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


def _leave(found: Comparison, json_path: str | None) -> None:
    """Write the JSON that is wanted; end with the exit code that hubbub's own results call for."""
    data = msgspec.json.format(msgspec.json.encode(found), indent=2)
    if json_path == "-":
        click.echo(data)
    elif json_path is not None:
        Path(json_path).write_bytes(data + b"\n")
    own = next(standing for standing in found.standings if standing.name == HUBBUB)
    if any(result.broken for result in own.results.values()):
        raise click.exceptions.Exit(EXIT_BROKEN)
    if own.failed:
        raise NotRun(f"hubbub: {next(iter(own.failed.values()))}")
