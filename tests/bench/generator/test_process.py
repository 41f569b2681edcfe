"""The generator as a process: how it ends."""

import resource
import socket
import subprocess
import sys

import pytest

from hubbub.bench import control
from hubbub.bench.fleet import launched


def job(port: int, host: str = "127.0.0.1") -> control.Job:
    return control.Job(
        host=host, port=port, rooms=["r"], run="x", tokens=["t"], text_bytes=120, seed=1, sample=1, parallel=64
    )


def test_a_generator_that_nobody_waits_for_ends_at_once() -> None:
    """In the middle of a command that would take two minutes it notices that the bench is gone, and is not killed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with launched(1, lambda text: None) as fleet:
            fleet.send([job(silent.getsockname()[1])])
            fleet.send([control.Connect([1], 0, 120.0)])
            peer, _ = silent.accept()  # the generator is at work
            processes = fleet._processes
        peer.close()
    assert [process.returncode for process in processes] == [0]


def last_words(limit: int | None, host: str = "127.0.0.1") -> control.Report:
    """What a generator says when it is to make 50 connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        lines = control.line(job(silent.getsockname()[1], host)) + control.line(control.Connect([50], 0, 20.0))
        process = subprocess.Popen(
            [sys.executable, "-m", "hubbub.bench.generator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if limit is not None:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines)
        process.stdin.flush()
        said = process.stdout.read().splitlines()
        process.stdin.close()
        process.stdout.close()
        assert process.wait() == 0
    return control.read_report(said[-1])


@pytest.mark.parametrize(("limit", "host", "why"), [(24, "127.0.0.1", "Too many open files"), (None, "no.invalid", "")])
def test_a_connection_that_cannot_be_opened_is_told(limit: int | None, host: str, why: str) -> None:
    """Without descriptors, or without such a host, the generator says so in a line instead of a traceback."""
    said = last_words(limit, host)
    assert isinstance(said, control.Failed)
    assert "no connection beside" in said.reason
    assert why in said.reason
