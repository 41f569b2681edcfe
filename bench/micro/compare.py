"""What changed between two runs beyond noise.

Counts of bytecode have no noise: any difference of at least a hundredth of an instruction is named, when both runs had one
Python version. A time has changed when its minimum and its median moved the same way, each by more than the spreads of both
runs together, and by at least `LEAST_PERCENT`. Memory has changed when its peak moved by at least that much, and by more than
a few bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs
from rich.console import Console
from rich.table import Table

from .report import Outcome, Report, nanoseconds
from .timing import Timing

LEAST_PERCENT: Final = 5.0
_LEAST_COUNT: Final = 0.01
_LEAST_BYTES: Final = 32.0


@attrs.frozen
class Change:
    """One figure of one benchmark that moved; `percent` is positive when it got worse."""

    name: str
    figure: str
    before: float
    after: float

    @property
    def percent(self) -> float:
        """By how much, of what it was."""
        return 100 * (self.after / self.before - 1) if self.before else float("inf")

    @property
    def worse(self) -> bool:
        """Whether more is needed than before."""
        return self.after > self.before


def changes(before: Report, after: Report) -> list[Change]:
    """Everything that moved, in the order of the later run. What only one of them has is not compared."""
    earlier = {outcome.name: outcome for outcome in before.outcomes}
    same_python = before.machine.python.split(".")[:2] == after.machine.python.split(".")[:2]
    return [
        change
        for outcome in after.outcomes
        if outcome.name in earlier
        for change in _changes(earlier[outcome.name], outcome, same_python=same_python)
    ]


def _changes(before: Outcome, after: Outcome, *, same_python: bool) -> Iterator[Change]:
    if before.timing is not None and after.timing is not None and _moved(before.timing, after.timing):
        yield Change(after.name, "time", before.timing.median_ns, after.timing.median_ns)
    if same_python and before.instructions is not None and after.instructions is not None:
        counts = Change(after.name, "bytecode", before.instructions, after.instructions)
        if abs(counts.after - counts.before) >= _LEAST_COUNT:
            yield counts
    if before.memory is not None and after.memory is not None:
        change = Change(after.name, "peak bytes", before.memory.peak_bytes, after.memory.peak_bytes)
        if abs(change.percent) >= LEAST_PERCENT and abs(change.after - change.before) >= _LEAST_BYTES:
            yield change


def _moved(before: Timing, after: Timing) -> bool:
    noise = max(LEAST_PERCENT, before.spread_percent + after.spread_percent)
    median = 100 * (after.median_ns / before.median_ns - 1)
    least = 100 * (after.min_ns / before.min_ns - 1)
    return min(median, least) > noise or max(median, least) < -noise


def show(found: list[Change], before: Report, console: Console) -> None:
    """Print what changed; and a warning where times are of two machines."""
    if not found:
        console.print(f"nothing changed beyond noise since {before.commit}")
        return
    table = Table(title=f"changed since {before.commit}, {before.started_at}", title_justify="left")
    table.add_column("benchmark", no_wrap=True)
    table.add_column("figure")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    table.add_column("", justify="right")
    for change in found:
        shown = nanoseconds if change.figure == "time" else "{:,.0f}".format
        mark = "red" if change.worse else "green"
        table.add_row(
            change.name,
            change.figure,
            shown(change.before),
            shown(change.after),
            f"[{mark}]{change.percent:+.1f} %[/]",
        )
    console.print(table)
