"""The server under test: started as a process of its own in a fresh data directory, or one that already runs.

The server never shares a process with the bench. What is started here is stopped here, by signal to that process only:
SIGTERM, and SIGKILL when it has not gone after `STOP_S`; then a Postgres that it left in its data directory. Its output
goes to a file in the data directory's parent, whose end is shown when the server does not come up.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

from . import procfs
from .errors import BenchError

READY_S: Final = 60.0
STOP_S: Final = 30.0
WITHOUT_LIMITS: Final = {"HUBBUB_LIMITS__FACTOR": "1000000"}
"""What a server under load is told by its environment: everything is counted as ever, and nothing is refused for being asked too
often. The load of a bench comes from a few guests at one address, which is what limits are for."""
_READY: Final = re.compile(rb"http://127\.0\.0\.1:\d+")
_POLL_S: Final = 0.02


@attrs.frozen(kw_only=True)
class Server:
    """Where the server listens, and which process it is.

    Attributes:
        pid: None for a server that the bench may not look into: no CPU and memory figures then.
        data: Its data directory where known.
        ready_s: From the start of the process to its ready line; None when it was not started here.
    """

    url: str
    pid: int | None = None
    data: Path | None = None
    ready_s: float | None = None

    @property
    def host(self) -> str:
        """Host name or address to connect to."""
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        """TCP port to connect to."""
        return urlsplit(self.url).port or 80


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _wait_ready(process: subprocess.Popen[bytes], log: Path, ready_s: float, what: str) -> str:
    deadline = time.monotonic() + ready_s
    while time.monotonic() < deadline:
        if found := _READY.search(log.read_bytes()):
            return found.group().decode()
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(_POLL_S)
            raise BenchError(f"{what} ended with code {code} before it was ready:\n{_tail(log)}")
    raise BenchError(f"{what} was not ready after {ready_s:g} s:\n{_tail(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, *, what: str = "the server") -> Iterator[Server]:
    """A server program for the length of a `with` block, from its ready line on (`http://127.0.0.1:PORT` in its output).

    Args:
        command: The program with its arguments; it gets our environment and `WITHOUT_LIMITS`.
        log: Gets its output.
        what: Its name in errors.

    Raises:
        BenchError: It ended, or was not ready within `READY_S`; its last lines of output are in the message.
    """
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C is for the bench, which then stops the server
            env={**os.environ, **WITHOUT_LIMITS},  # noqa: TID251  a server gets what we have, and this
        )
    try:
        url = _wait_ready(process, log, READY_S, what)
        yield Server(url=url, pid=process.pid, ready_s=time.monotonic() - begun)
    finally:
        _stop(process)


@contextlib.contextmanager
def started(arguments: Sequence[str] = (), command: Sequence[str] | None = None) -> Iterator[Server]:
    """A server of our own for the length of a `with` block, on a free port, with fresh data and guests allowed.

    Args:
        arguments: Further arguments of `hubbub serve`.
        command: What to run instead of `python -m hubbub serve`; it gets the same arguments.

    Raises:
        BenchError: It ended, or was not ready within `READY_S`; its last lines of output are in the message.
    """
    program = command if command is not None else (sys.executable, "-m", "hubbub", "serve")
    with tempfile.TemporaryDirectory(prefix="hubbub-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as another user when we are root and must get at its data
        data = folder / "data"
        own = ("--guests", "--port", "0", "--data", str(data))
        try:
            with running([*program, *own, *arguments], folder / "server.log") as server:
                yield attrs.evolve(server, data=data)
        finally:
            _stop_left_postgres(data)


def _stop_left_postgres(data: Path) -> None:
    """A server that was killed leaves its Postgres behind; the data is about to go, so it need not be kept whole."""
    for pid in procfs.detached_postgres(data):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
