"""Starting and stopping the server under test, with small programs in its place."""

import os
import select
import signal
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


LEAVES = """
import pathlib, subprocess, sys, time
data = pathlib.Path(sys.argv[sys.argv.index("--data") + 1])
(data / "pg").mkdir(parents=True)
(data / "postgres").symlink_to(sys.executable)
postgres = subprocess.Popen(
    [str(data / "postgres"), "-c", "import time; print(1, flush=True); time.sleep(60)"],
    stdout=subprocess.PIPE, start_new_session=True,
)
postgres.stdout.readline()
(data / "pg" / "postmaster.pid").write_text(f"{postgres.pid}\\n")
print("ready at http://127.0.0.1:4711", flush=True)
time.sleep(60)
"""


def test_a_killed_server_leaves_no_postgres() -> None:
    """Nobody else would stop it, and its data are gone."""
    with started([], [sys.executable, "-c", LEAVES]) as server:
        postgres = int((server.data / "pg" / "postmaster.pid").read_text())
        handle = os.pidfd_open(postgres)
        os.kill(server.pid, signal.SIGKILL)
    try:
        assert select.select([handle], [], [], 10)[0]
    finally:
        os.close(handle)
