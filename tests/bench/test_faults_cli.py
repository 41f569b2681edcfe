"""The command line of the fault harness."""

import json
import signal
import subprocess
import sys

import psutil
import pytest
from click.testing import CliRunner

from hubbub.bench.cli import bench
from hubbub.bench.faults import stage
from hubbub.bench.faults.kinds import FAULTS


def test_help_explains() -> None:
    """It says how to use it and what counts."""
    done = CliRunner().invoke(bench, ("faults", "--help"))
    assert done.exit_code == 0
    assert "--fault kill-server --rounds 100" in done.output


def test_every_fault_is_listed() -> None:
    """By its name."""
    done = CliRunner().invoke(bench, ("faults", "--list"))
    assert done.exit_code == 0
    assert all(fault.name in done.output for fault in FAULTS)


def test_the_list_says_what_is_needed_and_whether_it_is_here(monkeypatch) -> None:
    """Before anything is run: a library that is missing is named on the fault's own line."""
    monkeypatch.setattr(stage, "_FAKETIME", ())
    lines = CliRunner().invoke(bench, ("faults", "--list")).output.splitlines()
    [clock] = [line for line in lines if line.strip().startswith("clock-step")]
    assert "libfaketime" in clock
    assert "no:" in clock
    [disk] = [line for line in lines if line.strip().startswith("disk-full")]
    assert "tmpfs" in disk
    [kill] = [line for line in lines if line.strip().startswith("kill-server")]
    assert kill.rstrip().endswith("yes")


@pytest.mark.parametrize(
    "arguments", [(), ("--all", "--fault", "memory"), ("--fault", "rain"), ("--all", "--rounds", "0")]
)
def test_wrong_usage_is_exit_code_2(arguments) -> None:
    """Nothing chosen, both, an unknown fault or no rounds: refused before anything starts."""
    assert CliRunner().invoke(bench, ("faults", *arguments)).exit_code == 2


def test_what_cannot_be_injected_is_skipped_and_proves_nothing(monkeypatch, tmp_path) -> None:
    """A fault asked for by name that this machine does not allow is exit code 3, its rounds skipped with the reason."""
    monkeypatch.setattr(stage, "_FAKETIME", ())
    path = tmp_path / "faults.json"
    done = CliRunner().invoke(bench, ("faults", "--fault", "clock-step", "--rounds", "2", "--json", str(path)))
    assert done.exit_code == 3, done.output
    assert "libfaketime is not installed" in done.output
    report = json.loads(path.read_text())
    assert [round_["status"] for round_ in report["rounds"]] == ["skipped", "skipped"]
    assert report["broken"] is False


@pytest.mark.server
@pytest.mark.postgres
def test_an_interrupted_campaign_leaves_nothing() -> None:
    """SIGTERM in the middle of the rounds ends with 130; no process is left."""
    program = "from hubbub.bench.cli import bench; bench()"
    arguments = ("faults", "--fault", "stop-postgres", "--rounds", "50", "--writers", "2", "--readers", "2")
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("stop-postgres-1: passed"):
            assert process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    assert len(children) >= 2
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert len(gone) == len(children)
