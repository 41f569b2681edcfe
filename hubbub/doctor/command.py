"""The command `hubbub doctor`: every check, a table of what they found, and an exit code.

Exit codes: 0 nothing failed (there may be warnings); 1 something did; 2 wrong usage.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..commands.output import Column, Row
from ..commands.server import output_of
from ..database import EXIT_FAILED, Place, UpkeepError, place_of, place_options, reach

if TYPE_CHECKING:
    from .finding import Finding

_FINDINGS: Final = (
    Column("level", "level"),
    Column("check", "check"),
    Column("found", "text", free=True),
    Column("advice", "advice", free=True),
)


@click.command()
@place_options
@click.option("--host", help="Address that the server listens on.  [default: as `hubbub serve`]")
@click.option("--port", type=click.IntRange(0, 65535), help="Its port.  [default: as `hubbub serve`]")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, on one line.")
def doctor(config_file: Path | None, as_json: bool, **flags: object) -> None:
    """Check whether this machine and this database are fit for a server. Changes nothing.

    Run it as the user that the server runs as. Beside a running server it looks at that one's database; without one an embedded
    Postgres is started for a moment.

    \b
    Examples:
      hubbub doctor --data /var/lib/hubbub
      hubbub doctor --database-url postgresql://... --json
    """
    findings = examine(place_of(config_file, **flags))
    good = not any(found.level.value == "failed" for found in findings)
    output = output_of(as_json=as_json)
    if as_json:
        output.document({"ok": good, "checks": _rows(findings)})
    elif output.rich:
        output.terminal.write(_drawn(findings))
    else:
        output.rows(_FINDINGS, _rows(findings))
        output.note(" ".join(_summary(findings)))
    if not good:
        sys.exit(EXIT_FAILED)


def examine(place: Place) -> list[Finding]:
    """Carry out every check; one that cannot be carried out has failed."""
    import trio

    from . import machine

    findings = [machine.python(), machine.packages()]
    findings += machine.data_directory(place.data, embedded=place.database_url is None)
    findings += [machine.disk(place.data), machine.files(place.serve), machine.backlog(place.serve)]
    of_database, server_pid = trio.run(_database, place)
    return [*findings, machine.port(place.serve, server_pid=server_pid), *of_database]


async def _database(place: Place) -> tuple[list[Finding], int | None]:
    """What was found, and the server that runs on it."""
    from ..engine import StoreError
    from ..storage.embedded import EmbeddedError, cluster_major
    from ..storage.upkeep import Upkeep
    from .database import look
    from .finding import failed, ok

    try:
        if place.database_url is None and cluster_major(place.data) is None:
            return [ok("database", "will be made by the first start")], None
        async with reach(place, alone=False) as reached, Upkeep.open(reached.where) as upkeep:
            return await look(upkeep), reached.server_pid
    except (StoreError, EmbeddedError, UpkeepError, OSError) as error:
        return [failed("database", str(error), "see docs/operations.md")], None


def _rows(findings: Sequence[Finding]) -> list[Row]:
    return [
        {"check": found.check, "level": found.level.value, "text": found.text, "advice": found.advice or None}
        for found in findings
    ]


def _drawn(findings: Sequence[Finding]) -> str:
    """For a terminal: a table in colours, with the advice below what it is about."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..terminal import harmless

    styles = {"ok": "green", "warning": "yellow", "failed": "bold red"}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("check", no_wrap=True)
    table.add_column("found", overflow="fold")
    for found in findings:
        text = Text("\n".join(harmless(line) for line in found.text.splitlines()))
        if found.advice:
            text.append(f"\n{harmless(found.advice)}", style="dim")
        table.add_row(Text(found.level.value, style=styles[found.level.value]), found.check, text)
    drawn = io.StringIO()
    console = Console(file=drawn, width=shutil.get_terminal_size().columns, force_terminal=True)
    console.print(table)
    console.print(" ".join(_summary(findings)))
    return drawn.getvalue().removesuffix("\n")


def _summary(findings: Sequence[Finding]) -> Iterator[str]:
    counts = {level: sum(found.level.value == level for found in findings) for level in ("failed", "warning", "ok")}
    yield f"{counts['ok']} in order,"
    yield f"{counts['warning']} to mind,"
    yield f"{counts['failed']} failed"
