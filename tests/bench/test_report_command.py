"""The command that shows earlier results."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from hubbub.bench.cli import bench
from hubbub.bench.report import Result, merged, read_results, to_json
from hubbub.bench.scenarios import FANOUT_A

from .report.results import make


def written(folder: Path, name: str, *results: Result) -> str:
    path = folder / name
    path.write_bytes(to_json(results))
    return str(path)


def test_several_files_become_one_page(tmp_path) -> None:
    """Each result has its table and its section, in the order of the files."""
    a, b = written(tmp_path, "a.json", make(scenario=FANOUT_A)), written(tmp_path, "b.json", make())
    done = CliRunner().invoke(bench, ("report", a, b, "--html", str(tmp_path / "page.html")))
    assert done.exit_code == 0, done.output
    assert done.output.index("A: deliveries/s") < done.output.index("B: CPU per delivery")
    page = (tmp_path / "page.html").read_text()
    assert page.index("A: deliveries/s") < page.index("B: CPU per delivery")


def test_earlier_results_are_judged_and_compared(tmp_path) -> None:
    """By the same rules and exit codes as a run."""
    old, new = (
        written(tmp_path, name, merged([make({"delivery_p99_ms": mean + n / 10}) for n in range(5)]))
        for name, mean in (("old.json", 20), ("new.json", 30))
    )
    assert CliRunner().invoke(bench, ("report", new, "--slo", "p99<25ms")).exit_code == 4
    assert CliRunner().invoke(bench, ("report", old, "--slo", "p99<25ms")).exit_code == 0
    done = CliRunner().invoke(bench, ("report", new, "--against", old, "--fail-on-regression"))
    assert done.exit_code == 5
    assert "worse" in done.output


def test_results_can_be_put_together(tmp_path) -> None:
    """Files of one schema become one file."""
    names = [written(tmp_path, name, make()) for name in ("a.json", "b.json")]
    done = CliRunner().invoke(bench, ("report", *names, "--json", "-"))
    assert len(read_results(done.stdout.encode())) == 2


@pytest.mark.parametrize("data", ["", "{}", "[]"])
def test_a_foreign_file_is_wrong_usage(tmp_path, data: str) -> None:
    """Its name and what is wrong with it are told."""
    path = tmp_path / "x.json"
    path.write_text(data)
    done = CliRunner().invoke(bench, ("report", str(path)))
    assert done.exit_code == 2
    assert "x.json" in done.output
