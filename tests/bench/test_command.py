"""Carrying a scenario command out: repeats, files, exit codes. The runs are made up."""

import attrs
import click
import pytest
from click.testing import CliRunner, Result

from hubbub.bench.command import carry_out, leave
from hubbub.bench.errors import BenchError
from hubbub.bench.invariants import Verdict
from hubbub.bench.options import Common, with_common
from hubbub.bench.report import read_results
from hubbub.bench.scenarios import FANOUT_B

from .report.results import make


def play(run, *arguments: str) -> Result:
    @click.command("probe")
    @with_common
    def probe(*, common: Common) -> None:
        leave(common, [carry_out(common, run)])

    return CliRunner().invoke(probe, ("--url", "http://127.0.0.1:9", *arguments), prog_name="hubbub bench probe")


def test_repeats_are_made_and_written(tmp_path) -> None:
    """Three runs become one entry with medians, and each run is kept."""
    values = iter((3.0, 1.0, 2.0))
    path = tmp_path / "r.json"
    done = play(lambda server, *, live: make({"delivery_p99_ms": next(values)}), "--repeat", "3", "--json", str(path))
    assert done.exit_code == 0, done.output
    (result,) = read_results(path.read_bytes())
    assert [figure.value for figure in result.figures] == [2.0]
    assert [run.figures[0].value for run in result.runs] == [3.0, 1.0, 2.0]
    assert result.command == "hubbub bench probe --url http://127.0.0.1:9 --repeat 3"
    assert "median of 3 runs" in done.output


def test_json_on_stdout_is_all_there_is() -> None:
    """No table mixes with it."""
    done = play(lambda server, *, live: make(), "--json", "-")
    assert len(read_results(done.stdout.encode())) == 1


def test_a_broken_promise_is_code_1() -> None:
    """Also when it was only one of the runs."""
    verdicts = iter((Verdict(), Verdict(lost=1)))
    done = play(lambda server, *, live: make(verdict=next(verdicts)), "--repeat", "2")
    assert done.exit_code == 1


@pytest.mark.parametrize(("error", "code"), [(BenchError("no server"), 3), (KeyboardInterrupt(), 130)])
def test_a_run_that_was_not_made_is_no_result(error: BaseException, code: int) -> None:
    """Neither is a success: could not be made is 3, interrupted is 130."""

    def run(server, *, live):
        raise error

    assert play(run).exit_code == code


SLO = ("--slo", "p99<50ms,lost=0")


@pytest.mark.parametrize(
    ("arguments", "result", "code"),
    [
        (SLO, make({"delivery_p99_ms": 20}), 0),
        (SLO, make({"delivery_p99_ms": 60}), 4),
        (SLO, make({}), 4),
        (SLO, make({"delivery_p99_ms": 60}, verdict=Verdict(lost=1)), 1),
        (SLO, make({"delivery_p99_ms": 20}, cpu_percent=99), 3),
        ((), make({"delivery_p99_ms": 20}, cpu_percent=99), 0),
        ((*SLO, "--accept-invalid"), make({"delivery_p99_ms": 20}, cpu_percent=99), 0),
        ((*SLO, "--accept-invalid"), make({"delivery_p99_ms": 60}, invalid_because=("busy",)), 4),
        (SLO, make({"delivery_p99_ms": 20}, cpu_percent=99, verdict=Verdict(lost=1)), 1),
    ],
)
def test_a_service_level_decides_the_exit_code(arguments, result, code: int) -> None:
    """4 when it was missed; an invalid run proves nothing (3), a broken promise is more (1)."""
    assert play(lambda server, *, live: result, *arguments).exit_code == code


def test_the_service_level_is_in_the_json_and_beside_it(tmp_path) -> None:
    """On stdout nothing mixes with the JSON; the command repeats the conditions."""
    done = play(lambda server, *, live: make({"delivery_p99_ms": 60}), *SLO, "--json", "-")
    (result,) = read_results(done.stdout.encode())
    assert [condition.kept for condition in result.slo] == [False, True]
    assert "service level missed" in done.stderr
    assert result.command.endswith("--slo 'p99<50ms,lost=0'")


def test_a_wrong_service_level_is_wrong_usage() -> None:
    """Before anything is run, with what was meant."""
    done = play(lambda server, *, live: pytest.fail("was run"), "--slo", "p98<5ms")
    assert done.exit_code == 2
    assert "nothing is called 'p98'" in done.output


def repeats(value: float):
    return iter([make({"delivery_p99_ms": value * wobble}) for wobble in (1.0, 1.01, 0.99, 1.02, 0.98)])


@pytest.mark.parametrize(("factor", "asked", "code"), [(1.0, True, 0), (1.3, True, 5), (1.3, False, 0), (0.7, True, 0)])
def test_a_regression_is_a_failure_when_asked(tmp_path, factor: float, asked: bool, code: int) -> None:
    """What changed is always told; 5 is for a change to the worse, and only with the flag."""
    path = tmp_path / "old.json"
    old, new = repeats(20), repeats(20 * factor)
    assert play(lambda server, *, live: next(old), "--repeat", "5", "--json", str(path)).exit_code == 0
    flags = ("--fail-on-regression",) if asked else ()
    done = play(lambda server, *, live: next(new), "--repeat", "5", "--against", str(path), *flags)
    assert done.exit_code == code, done.output
    assert "B against" in done.output


def test_a_regression_needs_something_to_compare_with(tmp_path) -> None:
    """Without earlier results the flag is wrong usage; with results of another load it proves nothing."""
    done = play(lambda server, *, live: pytest.fail("was run"), "--fail-on-regression")
    assert done.exit_code == 2
    assert "needs --against" in done.output
    path = tmp_path / "old.json"
    other = attrs.evolve(FANOUT_B, subscribers=7)
    assert play(lambda server, *, live: make(scenario=other), "--json", str(path)).exit_code == 0
    flags = ("--against", str(path), "--fail-on-regression")
    assert play(lambda server, *, live: make(), *flags).exit_code == 3


def test_an_accepted_run_says_what_was_wrong_with_it() -> None:
    """What makes a run invalid becomes a note, and every repeat is announced."""
    accepted = ("--accept-invalid", "--repeat", "2")
    done = play(lambda server, *, live: make(invalid_because=("too busy",)), *accepted)
    assert "taken as it is (--accept-invalid): run 1: too busy" in " ".join(done.stdout.split())
    assert "run 1 of 2" in done.stderr


def test_an_unreadable_earlier_file_is_wrong_usage(tmp_path) -> None:
    """It is found out before a minute is spent."""
    path = tmp_path / "old.json"
    path.write_text("[]")
    done = play(lambda server, *, live: pytest.fail("was run"), "--against", str(path))
    assert done.exit_code == 2
    assert "holds no results" in done.output


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_file_that_cannot_be_written_is_wrong_usage(tmp_path, option: str) -> None:
    """It is found out before a minute is spent, too."""
    done = play(lambda server, *, live: pytest.fail("was run"), option, str(tmp_path / "missing" / "file"))
    assert done.exit_code == 2
    assert "no such folder" in done.output


def test_a_page_is_written(tmp_path) -> None:
    """With what was found, and the service level that was asked for."""
    path = tmp_path / "page.html"
    done = play(lambda server, *, live: make({"delivery_p99_ms": 60}), *SLO, "--html", str(path))
    assert done.exit_code == 4
    assert "Service level missed" in path.read_text()
