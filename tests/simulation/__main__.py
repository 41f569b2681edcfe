"""`python -m tests.simulation`: simulate many seeds, in parallel, and say what was found. Exit code 1 when anything was."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from .plan import Plan, draw, from_json
from .run import Outcome, run_plan, run_seed
from .shrink import shrink


def _outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(run_seed, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(run_seed, seeds, chunksize=4)


class Tally:
    """Sums over many outcomes."""

    def __init__(self) -> None:
        self.seeds = self.failed = self.acked = self.seen = 0
        self.seconds = 0.0
        self.faults: Counter[str] = Counter()
        self.crashes = 0

    def add(self, outcome: Outcome) -> None:
        """One more."""
        self.seeds += 1
        self.failed += not outcome.ok
        self.seconds += outcome.seconds
        self.faults.update(fault.kind for fault in outcome.plan.faults)
        self.crashes += outcome.faults - len(outcome.plan.faults)
        if outcome.verdict is not None:
            self.acked += outcome.verdict.acked
            self.seen += outcome.verdict.seen

    def report(self, took_s: float) -> str:
        """For people."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        return (
            f"{self.seeds} seeds, {self.seconds / 3600:.2f} simulated hours in {took_s:.0f} s; "
            f"{sum(self.faults.values())} faults injected and {self.crashes} crashes of actors; "
            f"{self.acked} posts acked, {self.seen} events seen; {self.failed} seeds with a violation\n{kinds}"
        )


def _tell(outcome: Outcome) -> None:
    for finding in outcome.findings[:5]:
        click.echo(f"seed {outcome.plan.seed}: {finding}")


def _tell_small(outcome: Outcome, folder: Path | None) -> None:
    small = shrink(outcome, run_plan)
    plan = small.plan
    click.echo(
        f"seed {plan.seed}, shrunk to {len(plan.faults)} faults, {len(plan.writers)} writers, {len(plan.readers)} readers:"
    )
    _tell(small)
    _show(plan, folder)


def _show(plan: Plan, folder: Path | None) -> None:
    if folder is None:
        click.echo(plan.to_json())
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed-{plan.seed}.json"
    path.write_text(plan.to_json())
    click.echo(f"replay: python -m tests.simulation --plan {path}")


def _read(path: Path) -> Plan:
    try:
        return from_json(path.read_bytes())
    except msgspec.MsgspecError as error:
        raise click.ClickException(f"{path} is not a plan: {error}") from error


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=200, show_default=True, help="How many seeds.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first of them.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Only this one, and print its plan; --out writes the plan to a file."
)
@click.option("--plan", "plan_path", type=click.Path(exists=True, path_type=Path), help="Replay a plan from a file.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--stop", is_flag=True, help="Stop at the first seed that fails, without shrinking it.")
@click.option(
    "--shrink/--no-shrink", "shrinks", default=True, help="Make the first failing plan smaller.  [default: yes]"
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for plans; else they are printed.")
def main(
    seeds: int,
    first: int,
    seed: int | None,
    plan_path: Path | None,
    jobs: int,
    stop: bool,
    shrinks: bool,
    out: Path | None,
) -> None:
    """Simulate the whole engine under faults, deterministically: a seed always runs the same way.

    \b
    python -m tests.simulation --seeds 2000 --jobs 2     many seeds
    python -m tests.simulation --seed 1234               one of them again
    python -m tests.simulation --plan seed-1234.json     a plan that was shrunk
    """
    if plan_path is not None:
        sys.exit(_one(_read(plan_path), None))
    if seed is not None:
        sys.exit(_one(draw(seed), out))
    tally, begun, failures = Tally(), time.monotonic(), list[Outcome]()
    for outcome in _outcomes(range(first, first + seeds), jobs):
        tally.add(outcome)
        if not outcome.ok:
            _tell(outcome)
            failures.append(outcome)
            if stop:
                break
        if tally.seeds % 100 == 0:
            click.echo(f"{tally.seeds} of {seeds} seeds, {tally.failed} with a violation", err=True)
    click.echo(tally.report(time.monotonic() - begun))
    if failures and shrinks and not stop:
        _tell_small(failures[0], out)
    sys.exit(1 if failures else 0)


def _one(plan: Plan, folder: Path | None) -> int:
    outcome = run_plan(plan)
    _show(plan, folder)
    _tell(outcome)
    click.echo(f"{outcome.seconds:.1f} s simulated, digest {outcome.digest}: {'ok' if outcome.ok else 'violated'}")
    return 0 if outcome.ok else 1


if __name__ == "__main__":
    main()
