"""Results on the terminal."""

import io

from rich.console import Console

from hubbub.bench.invariants import Verdict
from hubbub.bench.report import Result, merged, show

from .results import make, make_runs


def shown(result: Result) -> str:
    console = Console(file=io.StringIO(), width=160)
    show(result, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_figures_budgets_and_where_it_was_measured_are_told() -> None:
    """Each figure with its unit and budget; machine and commit below."""
    result = make({"cpu_per_delivery_us": 8.25, "delivery_p99_ms": 41.0})
    text = shown(result)
    assert "cpu_per_delivery_us" in text
    assert "8.25" in text
    assert "met" in text
    assert "missed" in text
    assert "invariants held" in text
    assert result.machine.kernel in text


def test_an_invalid_run_says_so_and_why() -> None:
    """A bound generator is told as what makes the figures worthless."""
    text = shown(make(cpu_percent=99, invalid_because=("others used 40 % of a core",)))
    assert "invalid: generator 0 used 99 % of a core" in text
    assert "invalid: others used 40 % of a core" in text


def test_broken_invariants_are_named() -> None:
    """The names and the counts."""
    text = shown(make(verdict=Verdict(lost=3)))
    assert "invariants broken: lost" in text
    assert "lost 3" in text


def test_repeats_show_their_spread() -> None:
    """The median, the least and the greatest, the median absolute deviation."""
    text = shown(merged(make_runs({"delivery_p99_ms": 10}, {"delivery_p99_ms": 14}, {"delivery_p99_ms": 11})))
    assert "median of 3 runs" in text
    assert "10 to 14" in text


def test_foreign_text_is_no_markup() -> None:
    """A note with brackets is printed as it is."""
    assert "[bold]room[/] [/wrong]" in shown(make(notes=("[bold]room[/] [/wrong]",)))
