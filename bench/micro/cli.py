"""The command `hubbub bench micro`.

Exit codes as those of the other benches: 0 done (and with --against nothing got worse); 1 something got worse; 2 wrong usage;
3 it could not be run; 130 interrupted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click
from rich.console import Console

from ..errors import BenchError
from ..exits import EXIT_BROKEN, EXIT_INTERRUPTED, NotRun
from ..report import Machine, commit
from . import baseline, callgrind, compare, instructions, memory, report
from .benchmark import Benchmark
from .suite import chosen
from .timing import time_all


@attrs.frozen(kw_only=True)
class _Wanted:
    """What is measured besides the counts, which always are."""

    rounds: int
    sample_ms: float
    only_counts: bool
    callgrind: bool


@click.command()
@click.option("--only", metavar="PATTERN", help="Benchmarks whose name holds this; with * or ? whose name matches it.")
@click.option("--list", "listing", is_flag=True, help="Name the benchmarks and end.")
@click.option("--count", "only_counts", is_flag=True, help="Count bytecode instructions only: exact, and in seconds.")
@click.option("--callgrind", "with_callgrind", is_flag=True, help="Machine instructions of one benchmark, by valgrind.")
@click.option("--rounds", type=click.IntRange(2, 1000), default=15, show_default=True, help="Samples of each.")
@click.option(
    "--sample-ms", type=click.FloatRange(0.1, 10_000), default=10.0, show_default=True, help="CPU time of one sample."
)
@click.option("--json", "json_path", metavar="FILE", help="Also write the result here; - for stdout, no table.")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="OLD.json",
    help="Name what changed beyond noise since this result; exit code 1 when something got worse.",
)
@click.option("--renew", is_flag=True, help="Write the counts that the tests compare with (of this Python version).")
def micro(
    *,
    only: str | None,
    listing: bool,
    only_counts: bool,
    with_callgrind: bool,
    rounds: int,
    sample_ms: float,
    json_path: str | None,
    against: Path | None,
    renew: bool,
) -> None:
    """What one operation of the pure machines costs: time, instructions, memory.

    \b
    hubbub bench micro                             all of them, about 15 s
    hubbub bench micro --only codec                some of them
    hubbub bench micro --json a.json               keep the result ...
    hubbub bench micro --against a.json            ... and see what a change has brought
    hubbub bench micro --count                     bytecode instructions only
    hubbub bench micro --only codec/event --callgrind

    Columns: CPU time of one operation (minimum, median, half the quartile distance in percent of the median), executed
    bytecode instructions (the same on every machine with this Python), bytes allocated at the peak and bytes kept by the
    result. No sockets, no store: what the kernel and Postgres cost is for the other benches.

    The counts of Python 3.11 are committed, and the tests fail when one grows by more than 15 %. After a change that is
    meant to cost more, or that saves a good deal, renew them: hubbub bench micro --renew
    """
    benchmarks = chosen(only)
    if not benchmarks:
        raise click.UsageError(f"no benchmark is called {only!r}; --list names them")
    if with_callgrind and len(benchmarks) != 1:
        raise click.UsageError("--callgrind takes a minute each: choose one benchmark with --only")
    if renew and only is not None:
        raise click.UsageError("--renew is for all of them, without --only")
    if listing:
        for benchmark in benchmarks:
            click.echo(f"{benchmark.name:28}{benchmark.what}")
        return
    wanted = _Wanted(rounds=rounds, sample_ms=sample_ms, only_counts=only_counts or renew, callgrind=with_callgrind)
    with _told():
        before = None if against is None else report.read(against)
        found = _measure(benchmarks, wanted)
    _leave(found, json_path)
    if renew:
        _renew(found)
    if before is not None:
        moved = compare.changes(before, found)
        compare.show(moved, before, Console(stderr=json_path == "-"))
        if any(change.worse for change in moved):
            raise click.exceptions.Exit(EXIT_BROKEN)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BenchError as error:
        raise NotRun(str(error)) from error
    except KeyboardInterrupt:
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


def _measure(benchmarks: Sequence[Benchmark], wanted: _Wanted) -> report.Report:
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    with Console(stderr=True).status("starting") as status:
        outcomes = _outcomes(benchmarks, wanted, status.update)
    return report.Report(started_at=started_at, machine=Machine.here(), commit=commit(), outcomes=outcomes)


def _outcomes(
    benchmarks: Sequence[Benchmark], wanted: _Wanted, tell: Callable[[str], None]
) -> tuple[report.Outcome, ...]:
    tell("counting")
    outcomes = [
        report.Outcome(name=each.name, what=each.what, instructions=instructions.count(each)) for each in benchmarks
    ]
    if not wanted.only_counts:
        timings = time_all(benchmarks, rounds=wanted.rounds, sample_ns=int(wanted.sample_ms * 1e6), tell=tell)
        tell("tracing allocations")
        outcomes = [
            attrs.evolve(outcome, timing=timings[each.name], memory=memory.measure(each))
            for outcome, each in zip(outcomes, benchmarks, strict=True)
        ]
    if wanted.callgrind:
        tell("running valgrind")
        outcomes = [
            attrs.evolve(outcome, machine_instructions=callgrind.instructions(each))
            for outcome, each in zip(outcomes, benchmarks, strict=True)
        ]
    return tuple(outcomes)


def _leave(found: report.Report, json_path: str | None) -> None:
    if json_path == "-":
        click.echo(report.to_json(found))
        return
    report.show(found, Console())
    if json_path is not None:
        Path(json_path).write_bytes(report.to_json(found) + b"\n")


def _renew(found: report.Report) -> None:
    counts = {each.name: each.instructions for each in found.outcomes if each.instructions is not None}
    path = baseline.path_of(baseline.version())
    baseline.write(path, baseline.Baseline(python=baseline.version(), instructions=counts))
    click.echo(f"{len(counts)} counts written to {path}", err=True)
