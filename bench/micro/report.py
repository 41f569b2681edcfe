"""The result of a microbenchmark run: JSON for machines, a table for people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
import msgspec
from rich.console import Console
from rich.table import Table

from ..errors import BenchError
from ..report import Machine
from .memory import Memory
from .timing import Timing

KIND: Final = "micro"
SCHEMA: Final = 1


@attrs.frozen(kw_only=True)
class Outcome:
    """What was measured of one benchmark, for one operation; None where it was not asked for or is not possible."""

    name: str
    what: str
    timing: Timing | None = None
    instructions: float | None = None
    memory: Memory | None = None
    machine_instructions: float | None = None


@attrs.frozen(kw_only=True)
class Report:
    """A run, with where and with what it was made. `started_at` is RFC 3339, in UTC."""

    schema: int = SCHEMA
    kind: str = KIND
    started_at: str
    machine: Machine
    commit: str
    outcomes: tuple[Outcome, ...]


def to_json(report: Report) -> bytes:
    """The report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def read(path: Path) -> Report:
    """Read an earlier report.

    Raises:
        BenchError: the file is not there, or is none.
    """
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise BenchError(f"{path} is no report of `hubbub bench micro`: {error}") from error
    if report.kind != KIND or report.schema != SCHEMA:
        raise BenchError(f"{path} is a report of another kind or version")
    return report


def nanoseconds(value: float) -> str:
    """A duration with a unit that suits it."""
    if value < 1_000:
        return f"{value:,.0f} ns"
    return f"{value / 1_000:,.2f} us" if value < 1_000_000 else f"{value / 1_000_000:,.2f} ms"


def show(report: Report, console: Console) -> None:
    """Print the table, and where it was measured."""
    table = Table(title="one operation", title_justify="left")
    table.add_column("benchmark", no_wrap=True)
    for heading in ("min", "median", "spread", "bytecode", "peak B", "kept B", "machine instr."):
        if any(_cell(outcome, heading) for outcome in report.outcomes):
            table.add_column(heading, justify="right", no_wrap=True)
    headings = [str(column.header) for column in table.columns[1:]]
    table.add_column("what one operation is")
    for outcome in report.outcomes:
        table.add_row(outcome.name, *(_cell(outcome, heading) for heading in headings), outcome.what)
    console.print(table)
    machine = report.machine
    console.print(
        f"{machine.cpu}, {machine.cores} cores, Linux {machine.kernel}, Python {machine.python}\n"
        f"commit {report.commit}, {report.started_at}",
        style="dim",
        highlight=False,
    )


def _cell(outcome: Outcome, heading: str) -> str:
    timing, memory = outcome.timing, outcome.memory
    match heading:
        case "bytecode":
            return "" if outcome.instructions is None else f"{outcome.instructions:,.0f}"
        case "machine instr.":
            return "" if outcome.machine_instructions is None else f"{outcome.machine_instructions:,.0f}"
        case "peak B" | "kept B" if memory is not None:
            return f"{memory.peak_bytes if heading == 'peak B' else memory.kept_bytes:,.0f}"
        case "min" | "median" if timing is not None:
            return nanoseconds(timing.min_ns if heading == "min" else timing.median_ns)
        case "spread" if timing is not None:
            return f"{timing.spread_percent:.1f} %"
        case _:
            return ""
