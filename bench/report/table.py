"""Results on the terminal: figures beside their budgets, what was broken, whether the run is valid, where it was made;
the service level condition by condition; and the difference to an earlier file."""

from __future__ import annotations

from typing import Final

import attrs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .compare import Basis, Change, Comparison, Difference
from .figures import number
from .result import Figure, Judged, Result

_CHANGES: Final = {
    Change.BETTER: "[green]better[/]",
    Change.WORSE: "[bold red]worse[/]",
    Change.CHANGED: "[cyan]changed[/]",
    Change.SAME: "[dim]within noise[/]",
    Change.UNKNOWN: "[dim]?[/]",
}


def show(result: Result, console: Console) -> None:
    """Print a result: figures with their budgets, invariants, validity, and where it was measured."""
    console.print(_figures(result))
    _show_verdict(result, console)
    machine = result.machine
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    console.print(
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib:,} MiB, Linux {machine.kernel}, "
        f"Python {machine.python}\n{versions}\ncommit {result.commit}, {result.started_at}, options {result.options}",
        style="dim",
        highlight=False,
        markup=False,
    )


def _figures(result: Result) -> Table:
    runs = len(result.runs)
    judged = {budget.figure: budget for budget in result.budgets}
    title = f"{result.name}: {result.title}" + (f" (median of {runs} runs)" if runs else "")
    table = Table(title=escape(title), title_justify="left")
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right")
    if runs:
        table.add_column("least to greatest", justify="right")
        table.add_column("MAD", justify="right")
    table.add_column("unit")
    table.add_column("must", justify="right")
    table.add_column("aim", justify="right")
    table.add_column("")
    for figure in result.figures:
        table.add_row(
            figure.name, number(figure.value), *_spread(figure), figure.unit, *_budget(judged.get(figure.name))
        )
    for index, use in enumerate(result.generators):
        mark = "[yellow]generator_bound[/]" if use.bound else ""
        empty = ("", "") if runs else ()
        table.add_row(f"generator_{index}_cpu_percent", number(use.cpu_percent), *empty, "%", "", "", mark)
    return table


def _spread(figure: Figure) -> tuple[str, ...]:
    spread = figure.spread
    if spread is None:
        return ()
    return f"{number(spread.least)} to {number(spread.greatest)}", number(spread.mad)


def _budget(budget: Judged | None) -> tuple[str, str, str]:
    if budget is None:
        return "", "", ""
    return number(budget.must), number(budget.aim), "[green]met[/]" if budget.met else "[red]missed[/]"


def _show_verdict(result: Result, console: Console) -> None:
    for reason in result.invalid_because:
        console.print(f"[bold yellow]invalid:[/] {escape(reason)}", highlight=False)
    if result.generator_bound:
        console.print("[yellow]generator_bound: a generator used more than 90 % of a core; give it --processes[/]")
    for note in result.notes:
        console.print(f"[yellow]{escape(note)}[/]")
    counts = ", ".join(f"{name} {value:,}" for name, value in attrs.asdict(result.verdict).items())
    if result.broken:
        console.print(f"[bold red]invariants broken: {', '.join(result.broken)}[/] ({counts})", highlight=False)
    else:
        console.print(f"[green]invariants held[/] ({counts})", highlight=False)


def show_slo(result: Result, console: Console) -> None:
    """Print every condition with its value, and whether the service level was kept."""
    for condition in result.slo:
        if condition.value is None:
            console.print(f"[red]not kept[/] {escape(condition.text)}: {escape(condition.because)}", highlight=False)
            continue
        mark = "[green]kept[/]" if condition.kept else "[red]missed[/]"
        value = f"{condition.figure} is {number(condition.value)} {condition.unit}".rstrip()
        console.print(f"{mark} {escape(condition.text)}: {value}", highlight=False)
    if not result.valid:
        console.print("[bold yellow]service level: no verdict, because the run is invalid[/]")
    elif all(condition.kept for condition in result.slo):
        console.print("[bold green]service level kept[/]")
    else:
        console.print("[bold red]service level missed[/]")


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print what changed since the earlier result, and how sure that is."""
    old, new = comparison.old, comparison.new
    if old is None:
        console.print(f"[yellow]{escape(new.name)} is not compared: {escape(comparison.refused)}[/]", highlight=False)
        return
    table = Table(title=escape(f"{new.name} against {old.commit} of {old.started_at}"), title_justify="left")
    table.add_column("figure", no_wrap=True)
    for title in ("old", "new", "new/old", "99 % interval"):
        table.add_column(title, justify="right")
    table.add_column("noise from")
    table.add_column("")
    for each in comparison.differences:
        table.add_row(*_difference(each))
    console.print(table)
    for doubt in comparison.doubts:
        console.print(f"[yellow]{escape(doubt)}[/]", highlight=False)
    for name in comparison.newly_broken:
        console.print(f"[bold red]{name} held then and is broken now[/]", highlight=False)
    if any(each.basis is Basis.SECONDS for each in comparison.differences):
        console.print("[dim]noise from seconds does not know how runs differ from each other; --repeat 5 does[/]")


def _difference(each: Difference) -> tuple[str, ...]:
    ratio = "" if each.ratio is None else f"{each.ratio:.3f}"
    interval = "" if each.interval is None else f"{each.interval.low:.3f} to {each.interval.high:.3f}"
    basis = "" if each.basis is Basis.NOTHING else each.basis.value
    return each.figure, number(each.old), number(each.new), ratio, interval, basis, _CHANGES[each.change]
