"""The result of a growth run: a table for people, JSON for machines, Markdown for the docs."""

from __future__ import annotations

from typing import Final

import attrs
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..report import Machine
from .dimension import Curve
from .law import Law

SCHEMA: Final = 1
_MARKS: Final = {Law.NOTHING: "green", Law.CONSTANT: "green", Law.LINEAR: "cyan", Law.WORSE: "red"}


@attrs.frozen(kw_only=True)
class Finding:
    """One dimension's curves. `seconds` is how long it took."""

    name: str
    what: str
    where: str
    seconds: float
    curves: tuple[Curve, ...]


@attrs.frozen(kw_only=True)
class Report:
    """A run, with where and with what it was made. `started_at` is RFC 3339, in UTC."""

    schema: int = SCHEMA
    kind: str = "growth"
    started_at: str
    command: str
    machine: Machine
    commit: str
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> list[str]:
        """What grows faster than it may, a line for each."""
        return [
            f"{finding.name}: {curve.what} is {curve.found}, allowed is {curve.allowed}"
            for finding in self.findings
            for curve in finding.curves
            if curve.broken
        ]


def to_json(report: Report) -> bytes:
    """The report with slopes and verdicts, as indented JSON."""
    document = msgspec.to_builtins(report)
    for finding, shown in zip(report.findings, document["findings"], strict=True):
        for curve, fields in zip(finding.curves, shown["curves"], strict=True):
            fields |= {"slope": curve.exponent, "verdict": curve.found, "broken": curve.broken}
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def show(report: Report, console: Console) -> None:
    """Print a table for each dimension, and where it was measured."""
    for finding in report.findings:
        sizes = _sizes(finding)
        title = f"{finding.name}: {finding.what} ({finding.where}; {finding.seconds:.0f} s)"
        table = Table(title=escape(title), title_justify="left")
        table.add_column("cost of")
        for size in sizes:
            table.add_column(f"{size:,.0f}", justify="right", no_wrap=True)
        table.add_column("slope", justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for curve in finding.curves:
            colour = "bold red" if curve.broken else _MARKS[curve.found]
            table.add_row(escape(curve.what), *_cells(curve, sizes), _slope(curve), f"[{colour}]{_verdict(curve)}[/]")
        console.print(table)
    machine = report.machine
    console.print(
        f"{machine.cpu}, {machine.cores} cores, Linux {machine.kernel}, Python {machine.python}\n"
        f"commit {report.commit}, {report.started_at}, {report.command}",
        style="dim",
        highlight=False,
    )
    for line in report.broken:
        console.print(f"[bold red]{escape(line)}[/]")


def markdown(report: Report) -> str:
    """The same as Markdown."""
    lines: list[str] = []
    for finding in report.findings:
        sizes = _sizes(finding)
        lines += [f"**{finding.name}**: {finding.what}. On {finding.where}.", ""]
        lines.append("| cost of | " + " | ".join(f"{size:,.0f}" for size in sizes) + " | slope | verdict |")
        lines.append("|---|" + "---:|" * (len(sizes) + 1) + "---|")
        lines += [
            f"| {curve.what} | {' | '.join(_cells(curve, sizes))} | {_slope(curve)} | {_verdict(curve)} |"
            for curve in finding.curves
        ]
        lines.append("")
    machine = report.machine
    lines.append(
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib:,} MiB, Linux {machine.kernel}, Python {machine.python}; "
        f"commit {report.commit}, {report.started_at}; `{report.command}`"
    )
    return "\n".join(lines) + "\n"


def _sizes(finding: Finding) -> list[float]:
    return sorted({size for curve in finding.curves for size, _ in curve.points})


def _cells(curve: Curve, sizes: list[float]) -> list[str]:
    values = dict(curve.points)
    return [_cost(values[size], curve.unit) if size in values else "" for size in sizes]


def _cost(value: float, unit: str) -> str:
    match unit:
        case "us" if value >= 100_000:
            return f"{value / 1000:,.0f} ms"
        case "us":
            return f"{value:,.0f} us" if value >= 10 else f"{value:,.2g} us"
        case "B" if abs(value) >= 10_000:
            return f"{value / 1024:,.0f} KiB"
        case "B":
            return f"{value:,.0f} B"
        case _:
            return f"{value:,.2g}"


def _slope(curve: Curve) -> str:
    return "" if curve.exponent is None else f"{curve.exponent:+.2f}"


def _verdict(curve: Curve) -> str:
    return f"{curve.found}, not {curve.allowed}" if curve.broken else str(curve.found)
