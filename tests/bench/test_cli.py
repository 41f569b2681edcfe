"""The command line against the fake server."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hubbub.bench import procfs
from hubbub.bench.cli import bench

QUICK = ("--subscribers", "5", "--seconds", "0.3", "--warm-up", "0.1", "--posters", "2")


def test_fanout_writes_json_that_says_how_it_was_made(fake_server, tmp_path) -> None:
    """A table on the terminal, and a JSON file with figures, settings, machine, versions, seed and commit."""
    path = tmp_path / "result.json"
    arguments = ("fanout", "--in-flight", "4", *QUICK, "--seed", "9", "--url", fake_server.url, "--json", str(path))
    done = CliRunner().invoke(bench, arguments)
    assert done.exit_code == 0, done.output
    assert "invariants held" in done.output
    (result,) = json.loads(path.read_text())
    assert result["scenario"]["load"] == {"type": "ClosedLoop", "in_flight": 4, "posts": None}
    assert result["options"]["seed"] == 9
    assert result["versions"]["trio"]
    assert result["machine"]["cores"] >= 1
    assert result["commit"]
    assert result["budgets"] == []
    assert {"deliveries_per_s", "ack_p99_ms"} <= {figure["name"] for figure in result["figures"]}


def test_without_a_load_both_scenarios_run(fake_server) -> None:
    """Bare `fanout` gives a closed loop and an open loop, as one JSON array."""
    done = CliRunner().invoke(bench, ("fanout", *QUICK, "--url", fake_server.url, "--json", "-"))
    assert done.exit_code == 0, done.output
    loads = [result["scenario"]["load"]["type"] for result in json.loads(done.stdout)]
    assert loads == ["ClosedLoop", "OpenLoop"]


def test_a_broken_invariant_is_exit_code_1(fake_server) -> None:
    """A lost event fails the command and names what broke."""
    fake_server.tamper = lambda reader, offset, frame: [] if (reader, offset) == (1, 4) else [frame]
    done = CliRunner().invoke(bench, ("fanout", "--in-flight", "4", *QUICK, "--url", fake_server.url))
    assert done.exit_code == 1
    assert "invariants broken: lost" in done.output


def test_a_run_that_could_not_be_made_is_exit_code_3() -> None:
    """No server at the address is neither success nor a broken promise."""
    done = CliRunner().invoke(bench, ("fanout", "--in-flight", "4", *QUICK, "--url", "http://127.0.0.1:9"))
    assert done.exit_code == 3
    assert "Error" in done.output


@pytest.mark.parametrize("arguments", [("fanout", "--in-flight", "1", "--rate", "1"), ("fanout", "--text-bytes", "3")])
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """Contradicting or impossible options are refused before anything starts."""
    assert CliRunner().invoke(bench, arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [(), ("fanout",), ("idle",)])
def test_help_explains(arguments: tuple[str, ...]) -> None:
    """Every command explains itself."""
    done = CliRunner().invoke(bench, (*arguments, "--help"))
    assert done.exit_code == 0
    assert "Usage" in done.output


def test_sigterm_stops_the_bench_with_130_and_leaves_no_process(fake_server) -> None:
    """A terminated bench takes its generators with it."""
    arguments = ["fanout", "--rate", "5", "--seconds", "60", "--subscribers", "3", "--url", fake_server.url]
    program = [sys.executable, "-c", "from hubbub.bench.cli import bench; bench()", *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert fake_server.posted.wait(20)
        children = [stat.pid for stat in procfs.all_stats().values() if stat.parent == process.pid]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130
    assert len(children) == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
