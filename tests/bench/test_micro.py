"""The microbenchmarks: their committed counts, what they measure, and what they call a change."""

import json
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

from hubbub.bench.cli import bench
from hubbub.bench.micro import baseline, callgrind, compare, instructions, memory, report
from hubbub.bench.micro.benchmark import Benchmark
from hubbub.bench.micro.suite import SUITE, chosen
from hubbub.bench.micro.timing import Timing, calibrated, time_all
from hubbub.bench.report import Machine
from hubbub.engine.core.messages import Event
from hubbub.engine.core.tail import Tail

COUNTED = [benchmark for benchmark in SUITE if benchmark.counted]
on_311 = pytest.mark.skipif(baseline.version() != "3.11", reason="the committed counts are those of Python 3.11")


def counts_of(benchmarks: list[Benchmark]) -> dict[str, float]:
    return {each.name: count for each in benchmarks if (count := instructions.count(each)) is not None}


@on_311
def test_no_machine_takes_more_instructions_than_committed() -> None:
    """Pure code that got slower fails here, without a clock."""
    committed = baseline.read(baseline.path_of("3.11"))
    assert committed.python == "3.11"
    assert baseline.regressions(committed.instructions, counts_of(COUNTED)) == []


@on_311
def test_a_machine_that_does_more_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tail that looks at its entries with each append is named, and so is what is built on it; the codec is not."""
    honest = Tail.append

    def append(tail: Tail, event: Event) -> None:
        honest(tail, event)
        for _ in range(20):
            len(tail)

    monkeypatch.setattr(Tail, "append", append)
    committed = baseline.read(baseline.path_of("3.11")).instructions
    names = ("tail/append", "conversation/post", "codec/event")
    found = baseline.regressions({name: committed[name] for name in names}, counts_of([*chosen_by(names)]))
    assert [line.partition(":")[0] for line in found] == ["tail/append", "conversation/post"]


def chosen_by(names: tuple[str, ...]) -> Iterator[Benchmark]:
    return (benchmark for benchmark in SUITE if benchmark.name in names)


def test_names_are_unique_and_name_a_subject() -> None:
    """A name is what a baseline and `--only` go by."""
    names = [benchmark.name for benchmark in SUITE]
    assert len(set(names)) == len(names)
    assert all(name.count("/") == 1 for name in names)


@pytest.mark.parametrize("benchmark", COUNTED, ids=lambda benchmark: benchmark.name)
def test_counts_do_not_depend_on_the_run(benchmark: Benchmark) -> None:
    """Two preparations and two countings give one figure: there is no noise to judge."""
    assert instructions.count(benchmark) == instructions.count(benchmark)


@pytest.mark.parametrize(
    "benchmark", [each for each in SUITE if not each.counted], ids=lambda benchmark: benchmark.name
)
def test_what_is_not_counted_can_be_carried_out(benchmark: Benchmark) -> None:
    """Benchmarks on trio's loop run, too."""
    benchmark.make()()
    assert instructions.count(benchmark) is None


def test_instructions_of_a_known_function_are_counted_with_those_it_calls() -> None:
    """A longer body counts more, in proportion, and the earlier trace function is back afterwards."""

    def times(number: int) -> Callable[[], None]:
        def inner() -> None:
            pass

        def call() -> None:
            for _ in range(number):
                inner()

        return call

    before = sys.gettrace()
    one, two, three = (instructions.counted(times(number), 1) for number in (1, 2, 3))
    assert two - one == three - two > 3
    assert instructions.counted(times(1), 5) == 5 * one
    assert sys.gettrace() is before


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": 100.0, "b": 5.0}, []),
        ({"a": 115.0, "b": 15.0}, []),
        ({"a": 50.0, "b": 5.0}, []),
        ({"a": 116.0, "b": 5.0}, ["a"]),
        ({"a": 100.0, "b": 16.0}, ["b"]),
        ({"a": 100.0}, ["b"]),
        ({"a": 100.0, "b": 5.0, "c": 1.0}, ["c"]),
    ],
)
def test_the_tolerance_of_the_committed_counts(counts: dict[str, float], expected: list[str]) -> None:
    """15 percent or ten instructions more are borne; more is not, and neither is a name on one side only."""
    found = baseline.regressions({"a": 100.0, "b": 5.0}, counts)
    assert [line.partition(":")[0] for line in found] == expected


class Ticking:
    """A clock that calls put forward."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def costing(self, cost_ns: int) -> Callable[[], None]:
        def call() -> None:
            self.now_ns += cost_ns

        return call


def test_times_are_of_one_operation() -> None:
    """The clock's time is shared out over calls, and over the operations of a call."""
    clock = Ticking()
    benchmarks = [
        Benchmark(name="x/one", what="", make=lambda: clock.costing(700)),
        Benchmark(name="x/ten", what="", make=lambda: clock.costing(700), operations=10),
    ]
    found = time_all(benchmarks, rounds=3, sample_ns=100_000, tell=lambda _: None, clock=clock)
    assert found == {"x/one": Timing(700, 700, 0, 3), "x/ten": Timing(70, 70, 0, 3)}


@pytest.mark.parametrize(("cost_ns", "calls"), [(100, 10_000), (999_999, 1), (50_000_000, 1)])
def test_a_sample_has_as_many_calls_as_fill_it(cost_ns: int, calls: int) -> None:
    """A call longer than a sample is a sample."""
    clock = Ticking()
    assert calibrated(clock.costing(cost_ns), 1_000_000, clock) == calls


def test_spread_is_half_the_distance_of_the_quartiles() -> None:
    """In percent of the median, so that one outlier does not count."""
    assert Timing.of([90, 100, 100, 110, 5000]) == Timing(90, 100, 5, 5)
    assert Timing.of([7]) == Timing(7, 7, 0, 1)


def test_memory_tells_what_is_kept_from_what_was_needed() -> None:
    """A call that builds 100 kB and returns 1 kB has both figures."""

    def call() -> bytes:
        return bytes(100_000)[:1_000]

    found = memory.measure(Benchmark(name="x/y", what="", make=lambda: call))
    assert 100_000 <= found.peak_bytes < 103_000
    assert 1_000 <= found.kept_bytes < 1_200


def outcome(median_ns: float = 1000, *, spread: float = 1, count: float = 500, peak: float = 1000) -> report.Outcome:
    timing = Timing(median_ns * 0.98, median_ns, spread, 15)
    return report.Outcome(name="x/y", what="", timing=timing, instructions=count, memory=memory.Memory(peak, 0.0, 0.0))


def a_report(*outcomes: report.Outcome, python: str = "3.11.7") -> report.Report:
    machine = Machine("cpu", 2, 1024, "6", python)
    return report.Report(started_at="2026-11-21T00:00:00+00:00", machine=machine, commit="c", outcomes=outcomes)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (outcome(), []),
        (outcome(1040), []),
        (outcome(1070), [("time", True)]),
        (outcome(900), [("time", False)]),
        (outcome(1070, spread=10), []),
        (outcome(count=500.5), [("bytecode", True)]),
        (outcome(count=499), [("bytecode", False)]),
        (outcome(peak=1040), []),
        (outcome(peak=1100), [("peak bytes", True)]),
    ],
)
def test_what_counts_as_a_change(after: report.Outcome, expected: list[tuple[str, bool]]) -> None:
    """Bytecode exactly, times beyond the spreads of both runs, memory beyond five percent."""
    found = compare.changes(a_report(outcome()), a_report(after))
    assert [(change.figure, change.worse) for change in found] == expected


def test_a_time_that_only_its_median_moved_is_noise() -> None:
    """A busy neighbour moves the median; what the code needs shows in the minimum, too."""
    busy = attrs.evolve(outcome(), timing=Timing(990, 1300, 2, 15))
    assert compare.changes(a_report(outcome()), a_report(busy)) == []


def test_bytecode_of_two_versions_of_python_is_not_compared() -> None:
    """The counts say nothing across versions."""
    assert compare.changes(a_report(outcome()), a_report(outcome(count=900), python="3.13.1")) == []


def test_the_command_tells_what_changed(tmp_path: Path) -> None:
    """Against itself nothing did; against fewer instructions it got worse, which is exit code 1."""
    path = tmp_path / "a.json"
    run = CliRunner().invoke
    done = run(bench, ("micro", "--count", "--only", "codec", "--json", str(path)))
    assert done.exit_code == 0, done.output
    assert "codec/event" in done.output
    assert "tail/append" not in done.output
    again = run(bench, ("micro", "--count", "--only", "codec", "--against", str(path)))
    assert again.exit_code == 0, again.output
    assert "nothing changed beyond noise" in again.output
    document = json.loads(path.read_text())
    document["outcomes"][0]["instructions"] -= 10
    path.write_text(json.dumps(document))
    worse = run(bench, ("micro", "--count", "--only", "codec", "--against", str(path)))
    assert worse.exit_code == 1
    assert "+10" in worse.output or "codec/event" in worse.output


def test_the_command_measures_times_and_memory() -> None:
    """JSON on stdout, and nothing else there."""
    arguments = ("micro", "--only", "wheel/arm", "--rounds", "2", "--sample-ms", "0.1", "--json", "-")
    done = CliRunner().invoke(bench, arguments)
    assert done.exit_code == 0, done.output
    [found] = json.loads(done.stdout)["outcomes"]
    assert found["timing"]["samples"] == 2
    assert 0 < found["timing"]["min_ns"] <= found["timing"]["median_ns"]
    assert found["instructions"] > 0
    assert found["memory"]["peak_bytes"] >= 0


def test_the_command_lists_without_measuring() -> None:
    """A name and a sentence a line."""
    done = CliRunner().invoke(bench, ("micro", "--list", "--only", "frames/*"))
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [each.name for each in chosen("frames/*")]


@pytest.mark.parametrize("arguments", [("--only", "nonsense"), ("--callgrind",), ("--renew", "--only", "codec")])
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """What cannot be meant is refused before anything is measured."""
    assert CliRunner().invoke(bench, ("micro", *arguments)).exit_code == 2


def test_what_is_no_report_is_exit_code_3(tmp_path: Path) -> None:
    """Another bench's result cannot be compared with."""
    path = tmp_path / "other.json"
    path.write_text("[]")
    done = CliRunner().invoke(bench, ("micro", "--count", "--only", "codec", "--against", str(path)))
    assert done.exit_code == 3
    assert "no report" in done.output


def test_callgrind_takes_the_difference_of_two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the interpreter needs to start is not the benchmark's: here a million, and 50 for each call."""
    fake = tmp_path / "valgrind"
    fake.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "out = next(each.partition('=')[2] for each in sys.argv if each.startswith('--callgrind-out-file='))\n"
        "open(out, 'w').write(f'events: Ir\\nsummary: {1_000_000 + 50 * int(sys.argv[-1])}\\n')\n"
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(callgrind.shutil, "which", lambda name: str(fake))
    [benchmark] = chosen_by(("batch/commit",))
    assert callgrind.instructions(benchmark) == 50 / benchmark.operations
