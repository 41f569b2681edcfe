"""Carrying a scenario command out: repeats, files, exit codes. The runs are made up."""

import click
import pytest
from click.testing import CliRunner, Result

from hubbub.bench.command import carry_out, leave
from hubbub.bench.errors import BenchError
from hubbub.bench.invariants import Verdict
from hubbub.bench.options import Common, with_common
from hubbub.bench.report import read_results

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
    done = play(lambda server, *, tell: make({"delivery_p99_ms": next(values)}), "--repeat", "3", "--json", str(path))
    assert done.exit_code == 0, done.output
    (result,) = read_results(path.read_bytes())
    assert [figure.value for figure in result.figures] == [2.0]
    assert [run.figures[0].value for run in result.runs] == [3.0, 1.0, 2.0]
    assert result.command == "hubbub bench probe --url http://127.0.0.1:9 --repeat 3"
    assert "median of 3 runs" in done.output


def test_json_on_stdout_is_all_there_is() -> None:
    """No table mixes with it."""
    done = play(lambda server, *, tell: make(), "--json", "-")
    assert len(read_results(done.stdout.encode())) == 1


def test_a_broken_promise_is_code_1() -> None:
    """Also when it was only one of the runs."""
    verdicts = iter((Verdict(), Verdict(lost=1)))
    done = play(lambda server, *, tell: make(verdict=next(verdicts)), "--repeat", "2")
    assert done.exit_code == 1


@pytest.mark.parametrize(("error", "code"), [(BenchError("no server"), 3), (KeyboardInterrupt(), 130)])
def test_a_run_that_was_not_made_is_no_result(error: BaseException, code: int) -> None:
    """Neither is a success: could not be made is 3, interrupted is 130."""

    def run(server, *, tell):
        raise error

    assert play(run).exit_code == code
