"""The command `hubbub bench growth`.

Exit codes as those of the other benches: 0 nothing grows faster than it may; 1 something does; 2 wrong usage; 3 it could not be
run; 130 interrupted (the server is stopped).
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from ..errors import BenchError
from ..exits import EXIT_BROKEN, EXIT_INTERRUPTED, NotRun
from ..fleet import Tell
from ..report import Machine, commit
from . import inside, report, served
from .dimension import Dimension

_SERVER: Final = "a real server"
_ENGINE: Final = "an engine in the bench's process"
_ORDERS: Final = (10, 100, 1_000, 10_000)
_QUICK: Final = 1_000
_HISTORY: Final = (10, 100, 1_000, 10_000, 30_000, 100_000)
_QUICK_HISTORY: Final = 30_000

DIMENSIONS: Final = (
    Dimension(name="readers", what="readers of one room", where=_SERVER, sizes=_ORDERS, run=served.readers),
    Dimension(
        name="connections",
        what="idle connections in a quiet room",
        where=_SERVER,
        sizes=_ORDERS,
        run=served.connections,
    ),
    Dimension(name="rooms", what="live rooms with a reader each", where=_SERVER, sizes=_ORDERS, run=served.rooms),
    Dimension(
        name="members", what="members present in one room", where=_ENGINE, sizes=(*_ORDERS, 100_000), run=inside.members
    ),
    Dimension(name="history", what="events in one room", where=_SERVER, sizes=_HISTORY, run=served.history),
    Dimension(
        name="passivated", what="rooms used once and left alone", where=_ENGINE, sizes=_ORDERS, run=inside.passivated
    ),
)


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([dimension.name for dimension in DIMENSIONS]),
    help="Vary this alone; may be given several times.",
)
@click.option("--quick", is_flag=True, help="Smaller sizes: two orders of magnitude in about a minute.")
@click.option("--json", "json_path", metavar="FILE", help="Also write the result here; - for stdout, no table.")
@click.option("--markdown", "markdown_path", metavar="FILE", help="Also write the tables as Markdown.")
def growth(*, only: tuple[str, ...], quick: bool, json_path: str | None, markdown_path: str | None) -> None:
    """How costs grow: does anything get dearer faster than the work?

    \b
    hubbub bench growth                  everything, about five minutes
    hubbub bench growth --only rooms     one thing varied
    hubbub bench growth --quick          smaller sizes

    Readers, connections, rooms, members, history and passivated rooms are varied one by one over three orders of
    magnitude. CPU is the server's own for one operation (median of five blocks), memory is resident. The slope is that of a
    power law: 0 is constant, 1 is linear; the steeper of two fits counts, one over everything and one over the last order of
    magnitude. What may be linear and what must be constant is part of each curve; exit code 1 when one is steeper.
    """
    chosen = [dimension for dimension in DIMENSIONS if not only or dimension.name in only]
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    with _told(), Console(stderr=True).status("starting") as status:
        findings = tuple(_find(dimension, status.update, quick=quick) for dimension in chosen)
    command = " ".join(["hubbub bench growth", *(f"--only {name}" for name in only), *(["--quick"] if quick else [])])
    found = report.Report(
        started_at=started_at, command=command, machine=Machine.here(), commit=commit(), findings=findings
    )
    _leave(found, json_path, markdown_path)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the server is ours to stop
    try:
        yield
    except BenchError as error:
        raise NotRun(str(error)) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _find(dimension: Dimension, tell: Tell, *, quick: bool) -> report.Finding:
    sizes = dimension.sizes
    if quick:
        sizes = dimension.upto(_QUICK_HISTORY if dimension.name == "history" else _QUICK)
    begun = time.monotonic()
    curves = dimension.run(sizes, lambda line: tell(f"{dimension.name}: {line}"))
    return report.Finding(
        name=dimension.name,
        what=dimension.what,
        where=dimension.where,
        seconds=time.monotonic() - begun,
        curves=curves,
    )


def _leave(found: report.Report, json_path: str | None, markdown_path: str | None) -> None:
    if json_path == "-":
        click.echo(report.to_json(found))
    else:
        report.show(found, Console())
        if json_path is not None:
            Path(json_path).write_bytes(report.to_json(found) + b"\n")
    if markdown_path is not None:
        Path(markdown_path).write_text(report.markdown(found))
    if found.broken:
        raise click.exceptions.Exit(EXIT_BROKEN)
