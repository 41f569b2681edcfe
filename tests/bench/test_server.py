"""Starting and stopping the server under test, with small programs in its place."""

import os
import sys

import pytest

from hubbub.bench.errors import BenchError
from hubbub.bench.server import started

READY = "import sys, time; print('ready at http://127.0.0.1:4711/', sys.argv[1:], flush=True); time.sleep(60)"


def test_a_server_is_started_and_stopped() -> None:
    """The ready line gives the address; after the block the process and its folder are gone."""
    with started(["--more"], [sys.executable, "-c", READY]) as server:
        assert (server.url, server.host, server.port) == ("http://127.0.0.1:4711", "127.0.0.1", 4711)
        log = (server.data.parent / "server.log").read_text()
        assert f"'--guests', '--port', '0', '--data', '{server.data}', '--more'" in log
    assert not server.data.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_a_server_that_ends_early_tells_why() -> None:
    """Exit code and last output are in the error."""
    program = [sys.executable, "-c", "raise SystemExit('no disk')"]
    with pytest.raises(BenchError, match=r"(?s)code 1.*no disk"), started([], program):
        pass
