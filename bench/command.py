"""How a scenario command is carried out: runs with live progress, then results, files and exit code.

A new scenario command takes three steps, and about 15 lines in a file of its own or in `cli.py`:

    @bench.command()
    @click.option("--rooms", type=click.IntRange(1), default=500, show_default=True, help="How many.")
    @with_common                                            # next to the function: all shared options
    def rooms(*, rooms: int, common: Common) -> None:
        \"\"\"Many small rooms: CPU per delivery, commits included.\"\"\"
        scenario = attrs.evolve(ROOMS_C, rooms=rooms)
        options = common.options(posters=10, sample=100)
        leave(common, [carry_out(common, partial(run_rooms, scenario=scenario, options=options))])

`run_rooms(server, *, scenario, options, live)` gives a `Result`. Its figures must be known to `report.figures`: their
unit, which direction is better, and what they mean; `--slo` and `--against` know them from there.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import attrs
import click
from rich.console import Console

from .errors import BenchError
from .exits import EXIT_BROKEN, EXIT_INTERRUPTED, EXIT_NOT_RUN, EXIT_REGRESSED, EXIT_SLO_MISSED, NotRun
from .options import Common, Wanted
from .report import Result, merged, show, to_json
from .report.compare import Comparison, compare
from .report.live import Live, live_view
from .report.page import render
from .report.slo import judge
from .report.table import show_comparison, show_slo
from .server import Server


class Run(Protocol):
    """One run of a scenario against a server, with lines of progress."""

    def __call__(self, server: Server, *, live: Live) -> Result: ...


def carry_out(common: Common, run: Run) -> Result:
    """Run a scenario as often as was asked for, with live progress, then show the result.

    Args:
        common: Where to, and how often. Every run has a fresh server unless one was given.
        run: The scenario.

    Raises:
        NotRun: A run could not be made.
        click.exceptions.Exit: Interrupted; the server is stopped.
    """
    results: list[Result] = []
    try:
        with terminable(), live_view(Console(stderr=True)) as live:
            for number in range(1, common.repeat + 1):
                if common.repeat > 1:
                    live.say(f"run {number} of {common.repeat}")
                with common.target.server(live.say) as server:
                    results.append(attrs.evolve(run(server, live=live), command=common.command))
    except BenchError as exc:
        raise NotRun(str(exc)) from exc
    except KeyboardInterrupt:
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    return shown(common, merged(results))


def shown(wanted: Wanted, result: Result) -> Result:
    """The result with the service level that it was asked to keep; its table is printed unless only JSON is wanted."""
    if wanted.accept_invalid and not result.valid:
        because = (f"taken as it is (--accept-invalid): {text}" for text in result.invalid_because)
        result = attrs.evolve(result, valid=True, invalid_because=(), notes=(*result.notes, *because))
    if wanted.slo:
        result = attrs.evolve(result, slo=judge(wanted.slo, result))
    if wanted.json_path != "-":
        show(result, Console())
    return result


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and a closed terminal are taken like Ctrl-C: they would end the bench and leave its server running."""
    earlier = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def leave(wanted: Wanted, results: Sequence[Result]) -> None:
    """Write the files that are wanted, print the verdicts, end with the exit code that all this calls for.

    Raises:
        click.exceptions.Exit: With a code other than 0, see `exits`.
    """
    comparisons = compare(wanted.against, results) if wanted.against else ()
    if wanted.json_path == "-":
        click.echo(to_json(results))
    elif wanted.json_path is not None:
        Path(wanted.json_path).write_bytes(to_json(results) + b"\n")
    if wanted.html_path is not None:
        wanted.html_path.write_text(render(results, comparisons), encoding="utf-8")
    console = Console(stderr=wanted.json_path == "-")
    for comparison in comparisons:
        show_comparison(comparison, console)
    for result in results:
        if result.slo:
            show_slo(result, console)
    code = exit_code(wanted, results, comparisons)
    if code:
        raise click.exceptions.Exit(code)


def exit_code(wanted: Wanted, results: Sequence[Result], comparisons: Sequence[Comparison]) -> int:
    """How the command ends: the first of the reasons in `exits`, or 0."""
    asked = bool(wanted.slo) or wanted.fail_on_regression
    if any(result.broken for result in results):
        return EXIT_BROKEN
    if asked and not all(result.valid for result in results):
        return EXIT_NOT_RUN
    if wanted.fail_on_regression and any(comparison.refused for comparison in comparisons):
        return EXIT_NOT_RUN
    if not all(condition.kept for result in results for condition in result.slo):
        return EXIT_SLO_MISSED
    if wanted.fail_on_regression and any(comparison.regressed for comparison in comparisons):
        return EXIT_REGRESSED
    return 0
