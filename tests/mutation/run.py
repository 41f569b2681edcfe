"""Apply every mutant, one at a time, in a copy of the tree, and see who catches it.

    python -m tests.mutation.run                     all mutants, with a live table
    python -m tests.mutation.run --only NAME ...     some
    python -m tests.mutation.run --markdown          the table of docs/mutation.md

The copy comes first: without a mutant it must pass every catcher, else the run is void. Exit code 0: all caught. 1: somebody
survived, hung, or could not be judged. 2: void.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import attrs
from rich.console import Console
from rich.live import Live
from rich.table import Table

from .catchers import End, Outcome, simulate, test, where_imports_come_from
from .mutant import Mutant, Stale
from .mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", "node_modules", "hubbub-data", "bench-reports", "screenshots", "__pycache__", "*.egg-info"),
    *(".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".import_linter_cache", "build", "dist"),
)


@attrs.frozen(kw_only=True)
class Options:
    """Bounds of a run: seeds of the simulation, seconds of each catcher."""

    seeds: int
    simulation_s: float
    tests_s: float


@attrs.frozen
class Judged:
    """A mutant and what each catcher said; None where it did not run."""

    mutant: Mutant
    simulation: Outcome | None
    tests: Outcome

    @property
    def verdict(self) -> str:
        """In one word."""
        ends = [outcome.end for outcome in (self.simulation, self.tests) if outcome is not None]
        for end in (End.CAUGHT, End.HANG, End.BROKEN):
            if end in ends:
                return str(end.value)
        return "survived"


def copy_tree(place: Path) -> Path:
    """A copy to break things in, which is what is imported there.

    Raises:
        RuntimeError: something else would be imported.
    """
    tree = place / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=_LEFT_OUT)
    for file in where_imports_come_from(tree):
        if not file.is_relative_to(tree):
            raise RuntimeError(f"{file} would be tested, which is not the copy in {tree}")
    return tree


def judge(mutant: Mutant, trees: "SimpleQueue[Path]", options: Options) -> Judged:
    """Break a copy, run the catchers, mend it."""
    tree = trees.get()
    whole: dict[Path, str] = {}
    try:
        mutated = mutant.mutated(tree)
    except (Stale, SyntaxError) as error:
        trees.put(tree)
        return Judged(mutant, None, Outcome(End.BROKEN, str(error)))
    try:
        for path, text in mutated.items():
            whole[path] = path.read_text()
            path.write_text(text)
        simulation = _simulated(tree, options) if mutant.simulated else None
        return Judged(mutant, simulation, test(tree, mutant.tests, options.tests_s))
    finally:
        for path, text in whole.items():
            path.write_text(text)
        trees.put(tree)


def _simulated(tree: Path, options: Options) -> Outcome | None:
    if not options.seeds or not (tree / "tests/simulation/__main__.py").is_file():
        return None
    return simulate(tree, options.seeds, options.simulation_s)


def baseline(tree: Path, mutants: Sequence[Mutant], options: Options) -> str | None:
    """Why the run would be void; None when the copy passes every catcher as it is."""
    simulation = _simulated(tree, options)
    if simulation is not None and simulation.end is not End.CLEAN:
        return f"simulation: {simulation.end.value} {simulation.by}"
    files = sorted({file for mutant in mutants for file in mutant.tests})
    tests = test(tree, files, len(files) * options.tests_s)
    if tests.end is not End.CLEAN:
        return f"tests: {tests.end.value} {tests.by}"
    return None


def table_of(judged: Sequence[Judged], waiting: int) -> Table:
    """The live table."""
    table = Table(title=f"{len(judged)} mutants judged, {waiting} to come", title_justify="left")
    for name in ("mutant", "promise", "verdict", "simulation", "test", "s"):
        table.add_column(name, overflow="fold")
    for one in judged:
        took_s = one.tests.took_s + (one.simulation.took_s if one.simulation else 0.0)
        colour = "green" if one.verdict == "caught" else "red"
        table.add_row(
            *(one.mutant.name, one.mutant.promise, f"[{colour}]{one.verdict}[/]", simulation_cell(one)),
            *(test_cell(one.tests), f"{took_s:.0f}"),
        )
    return table


def line_of(one: Judged) -> str:
    """One row, for logs."""
    return " | ".join((one.mutant.name, one.verdict, simulation_cell(one), test_cell(one.tests)))


def simulation_cell(one: Judged) -> str:
    """How many seeds it took."""
    outcome = one.simulation
    if outcome is None:
        return "not run" if one.mutant.simulated else "n/a"
    if outcome.end is End.CAUGHT:
        return "1 seed" if outcome.seeds == 1 else f"{outcome.seeds} seeds"
    return "-" if outcome.end is End.CLEAN else outcome.end.value


def test_cell(outcome: Outcome) -> str:
    """The test that failed, by file and name."""
    if outcome.end is End.CAUGHT:
        file, *names = outcome.by.split("::")
        name = next(name for name in reversed(names) if name != "runTest")  # a Hypothesis machine is named by its class
        return f"{Path(file).stem}: {name.removeprefix('test_').removesuffix('.TestCase')}"
    return "-" if outcome.end is End.CLEAN else outcome.end.value


def markdown(judged: Sequence[Judged]) -> str:
    """The table of the docs."""
    lines = ["| mutant | promise | what a user would see | simulation | test |", "|---|---|---|---|---|"]
    for one in judged:
        mutant = one.mutant
        cells = (mutant.name, mutant.promise, mutant.breaks, simulation_cell(one), test_cell(one.tests))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def as_json(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Everything that was measured."""
    return [
        {
            "name": one.mutant.name,
            "promise": one.mutant.promise,
            "verdict": one.verdict,
            "simulation": None if one.simulation is None else _outcome_json(one.simulation),
            "tests": _outcome_json(one.tests),
        }
        for one in judged
    ]


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {**attrs.asdict(outcome), "end": outcome.end.value}


def judge_all(mutants: Sequence[Mutant], trees: Sequence[Path], options: Options, console: Console) -> list[Judged]:
    """Judge them, as many at a time as there are copies; returned in their own order."""
    free: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        free.put(tree)
    order = {mutant.name: place for place, mutant in enumerate(mutants)}
    judged: list[Judged] = []
    live = Live(console=console, refresh_per_second=2) if console.is_terminal else None
    with ThreadPoolExecutor(len(trees)) as pool, live or nullcontext():
        futures: list[Future[Judged]] = [pool.submit(judge, mutant, free, options) for mutant in mutants]
        try:
            for future in as_completed(futures):
                judged.append(future.result())
                if live is None:
                    console.print(line_of(judged[-1]), markup=False, soft_wrap=True)
                judged.sort(key=lambda one: order[one.mutant.name])
                if live is not None:
                    live.update(table_of(judged, len(mutants) - len(judged)))
        finally:
            for future in futures:
                future.cancel()
    return judged


def report(judged: Sequence[Judged], console: Console) -> int:
    """Say who was not caught; the exit code."""
    counts = {word: sum(one.verdict == word for one in judged) for word in ("caught", "survived", "hang", "broken")}
    console.print(", ".join(f"{count} {word}" for word, count in counts.items()))
    for one in judged:
        if one.verdict == "broken":
            outcomes = [outcome for outcome in (one.simulation, one.tests) if outcome is not None]
            console.print(
                one.mutant.name, *(outcome.by for outcome in outcomes if outcome.end is End.BROKEN), markup=False
            )
    return 0 if counts["caught"] == len(judged) else 1


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    names = [mutant.name for mutant in MUTANTS]
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.run", description="Mutation of the promises.")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, default=names, help="these mutants")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time, each in a copy of its own")
    parser.add_argument("--seeds", type=int, default=100, help="of the simulation; 0 leaves it out")
    parser.add_argument("--simulation-s", type=float, default=180.0, help="time of one simulation")
    parser.add_argument("--tests-s", type=float, default=120.0, help="time of one mutant's tests")
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/mutation.md")
    return parser.parse_args(given)


def main() -> int:
    """Run; returns the exit code."""
    args = arguments()
    console = Console(stderr=True)
    options = Options(seeds=args.seeds, simulation_s=args.simulation_s, tests_s=args.tests_s)
    mutants = [mutant for mutant in MUTANTS if mutant.name in args.only]
    with tempfile.TemporaryDirectory(prefix="hubbub-mutation-", dir="/tmp") as folder:
        trees = [copy_tree(Path(folder) / str(job)) for job in range(max(1, args.jobs))]
        console.print("imported from", *where_imports_come_from(trees[0]))
        with console.status("the copy as it is"):
            void = baseline(trees[0], mutants, options)
        if void is not None:
            console.print("void: the copy does not pass without a mutant:", void, markup=False)
            return 2
        judged = judge_all(mutants, trees, options, console)
    if args.json is not None:
        args.json.write_text(json.dumps(as_json(judged), indent=1) + "\n")
    if args.markdown:
        print(markdown(judged))
    return report(judged, console)


if __name__ == "__main__":
    sys.exit(main())
