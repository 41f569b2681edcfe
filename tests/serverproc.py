"""The real server as a process of its own, for tests that kill it and start it again.

    with data_folder() as data, running_server(data) as server:
        ...
        server.kill()
        with running_server(data, port=server.port) as server:
            ...

Every wait is bounded. `close` ends the server and every process that still works in its data directory, which is its embedded
Postgres, and nothing else. The functions block: call them through `trio.to_thread.run_sync` where a test is async.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import psutil

from hubbub.bench.server import WITHOUT_LIMITS

READY_S = 60.0
STOP_S = 30.0
_READY = re.compile(r"^hubbub \S+ ready at (https?://\S+:(\d+))", re.MULTILINE)
_POLL_S = 0.02
_HUBBUB = (sys.executable, "-m", "hubbub")


@attrs.frozen(eq=False)
class ServerProcess:
    """A server that said that it is ready."""

    url: str
    port: int
    data_dir: Path
    log: Path
    _process: "subprocess.Popen[bytes]"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone. Its Postgres may live on, as after a real crash."""
        self._process.kill()
        self.wait()

    def terminate(self) -> None:
        """SIGTERM: ask it to drain. `wait` for the end."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait until it has ended; gives its exit status (negative: the signal)."""
        return self._process.wait(timeout_s)

    def postgres_pids(self) -> list[int]:
        """Processes that work inside the data directory."""
        return [process.pid for process in _processes_in(self.data_dir)]

    def output(self) -> str:
        """What it and earlier servers on this directory have printed."""
        return self.log.read_text(errors="replace")

    def close(self) -> None:
        """End it and what it started, whatever state they are in."""
        if self._process.poll() is None:
            self.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait()
        _end(self._process, self.data_dir)


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Look again and again until `condition` holds; fails, naming `what`, when it does not within the time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        pause.wait(_POLL_S)


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A place for a server's data, gone afterwards. pytest's own are closed to the user whom Postgres runs as under root."""
    with tempfile.TemporaryDirectory(prefix="hubbub-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name, "data")


def start_server(
    data_dir: Path,
    *args: str,
    port: int = 0,
    guests: bool = True,
    limits: bool = False,
    program: tuple[str, ...] = _HUBBUB,
) -> ServerProcess:
    """Start `python -m hubbub serve` on `data_dir` and wait for its ready line. `close` it at the end.

    Args:
        args: further arguments of `serve`.
        limits: refuse who asks too often, as by default; a test asks as fast as it can.
        port: 0 takes a free one; a restarted server gets the port of the one before.
        program: what stands before `serve`; another one prints the same ready line.
    """
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    log = data_dir.parent / f"{data_dir.name}.log"
    known = log.stat().st_size if log.exists() else 0
    command = [*program, "serve", "--port", str(port), "--data", str(data_dir), *args]
    if guests:
        command.append("--guests")
    environment = {**os.environ, **({} if limits else WITHOUT_LIMITS)}  # noqa: TID251  passed on, not read
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0, env=environment
        )
    try:
        ready = _wait_ready(process, log, known)
    except BaseException:
        _end(process, data_dir)
        raise
    return ServerProcess(ready[1], int(ready[2]), data_dir, log, process)


@contextlib.contextmanager
def running_server(data_dir: Path, *args: str, port: int = 0, guests: bool = True) -> Iterator[ServerProcess]:
    """A server for the length of a `with` block."""
    server = start_server(data_dir, *args, port=port, guests=guests)
    try:
        yield server
    finally:
        server.close()


def _wait_ready(process: "subprocess.Popen[bytes]", log: Path, known: int) -> re.Match[str]:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        said = log.read_bytes()[known:].decode(errors="replace")
        if found := _READY.search(said):
            return found
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(_POLL_S)
            raise AssertionError(f"the server ended with {code} before it was ready:\n{said[-4000:]}")
    raise AssertionError(f"the server was not ready after {READY_S:g} s:\n{said[-4000:]}")


def _end(process: "subprocess.Popen[bytes]", data_dir: Path) -> None:
    process.kill()
    process.wait(STOP_S)
    left = _processes_in(data_dir)
    for one in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()  # psutil checks that the pid was not used anew
    psutil.wait_procs(left, timeout=STOP_S)


def _processes_in(data_dir: Path) -> list[psutil.Process]:
    place = os.fspath(data_dir.resolve()) + os.sep
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if (process.cwd() + os.sep).startswith(place):
                found.append(process)
    return found
