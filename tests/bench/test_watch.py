"""Looks at a server's process from outside."""

import os
import subprocess

import pytest

from hubbub.bench.errors import BenchError
from hubbub.bench.server import Server
from hubbub.bench.watch import look, memory


@pytest.mark.parametrize("reaped", [True, False])
def test_a_server_that_has_ended_is_a_clear_error(reaped: bool) -> None:
    """Whether its parent has asked for its exit code or not, there is nothing to look at, and the message says so."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    if reaped:
        process.wait()
    server = Server(url="http://127.0.0.1:1", pid=process.pid)
    with pytest.raises(BenchError, match=f"process {process.pid} has ended"):
        look(server)
    process.wait()


def test_a_server_that_is_not_ours_has_no_memory() -> None:
    """Nor has it CPU, and neither is an error."""
    server = Server(url="http://127.0.0.1:1")
    assert memory(server) is None
    assert look(server).cpu is None
