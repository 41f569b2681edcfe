"""Results on the terminal."""

import io

import attrs
from rich.console import Console

from hubbub.bench.invariants import Verdict
from hubbub.bench.report import Result, merged, show
from hubbub.bench.report.compare import compare
from hubbub.bench.report.slo import judge, parse
from hubbub.bench.report.table import show_comparison, show_slo
from hubbub.bench.scenarios import FANOUT_A

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


def printed(show_it, what) -> str:
    console = Console(file=io.StringIO(), width=160)
    show_it(what, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def slo_of(text: str, **result: object) -> str:
    run = make({"delivery_p99_ms": 20.0}, **result)
    return printed(show_slo, attrs.evolve(run, slo=judge(parse(text), run)))


def test_a_service_level_is_told_condition_by_condition() -> None:
    """Each with the figure it was about and its value, then the sum."""
    text = slo_of("p99<50ms,p99<10ms,ack.p99<1s,lost=0")
    assert "kept p99<50ms: delivery_p99_ms is 20 ms" in text
    assert "missed p99<10ms: delivery_p99_ms is 20 ms" in text
    assert "not kept ack.p99<1s: this run has no ack_p99_ms" in text
    assert "service level missed" in text
    assert "service level kept" in slo_of("p99<50ms")


def test_an_invalid_run_keeps_no_service_level() -> None:
    """Conditions are shown, a verdict is not."""
    text = slo_of("p99<50ms", cpu_percent=99.0)
    assert "no verdict" in text
    assert "service level kept" not in text


def test_a_comparison_shows_old_new_and_what_to_make_of_it() -> None:
    """Values, ratio, interval and verdict in a line; what is refused says why."""
    old, new = (merged(make_runs(*({"delivery_p99_ms": mean + i / 10} for i in range(5)))) for mean in (20, 30))
    text = printed(show_comparison, compare([old], [new])[0])
    assert "delivery_p99_ms" in text
    assert "1.495" in text
    assert "worse" in text
    refused = compare([make(scenario=FANOUT_A)], [make()])[0]
    assert "B is not compared: the earlier file has no such scenario" in printed(show_comparison, refused)
