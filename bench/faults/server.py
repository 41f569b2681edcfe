"""The server under test over all its lives: started, killed and started again on one data directory and one port.

It is a process of its own group, so Ctrl-C is for the harness. Whatever happens, leaving `open_server` leaves neither it nor
anything that works in its data directory.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from ..errors import BenchError
from ..server import WITHOUT_LIMITS
from . import processes

READY_S: Final = 60.0
STOP_S: Final = 40.0
_GONE_S: Final = 10.0
_POLL_S: Final = 0.01
_READY: Final = re.compile(r"^hubbub \S+ ready at http://127\.0\.0\.1:(\d+)", re.MULTILINE)
_ERROR: Final = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) ", re.MULTILINE)


class Server:
    """A server and its data. Made by `open_server`.

    Attributes:
        home: the folder of everything; the log is in it.
        port: the same in all lives; 0 before the first.
    """

    def __init__(self, home: Path, arguments: Sequence[str], environment: Mapping[str, str] | None) -> None:
        self.home: Final = home
        self.port = 0
        self._arguments: Final = tuple(arguments)
        ours = os.environ if environment is None else environment  # noqa: TID251  passed on, not read
        self._environment = {**ours, **WITHOUT_LIMITS}
        self._process: trio.Process | None = None
        self._log: Final = home / "server.log"
        self._read = 0

    @property
    def process(self) -> trio.Process:
        """The process of its present or last life."""
        assert self._process is not None, "it was never started"
        return self._process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> float:
        """Start it and wait until it is ready; gives the seconds that took.

        Raises:
            BenchError: it ended or was not ready in time.
        """
        known = self._log.stat().st_size if self._log.exists() else 0
        began = trio.current_time()
        command = (sys.executable, "-m", "hubbub", "serve", "--guests", "--port", str(self.port), *self._arguments)
        with self._log.open("ab") as output:
            self._process = await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0, env=self._environment
            )
        with trio.move_on_after(READY_S):
            while True:
                said = self._log.read_bytes()[known:].decode(errors="replace")
                if found := _READY.search(said):
                    self.port = int(found[1])
                    return trio.current_time() - began
                if not self.alive:
                    raise BenchError(f"the server ended with {self.process.returncode}:\n{said[-3000:]}")
                await trio.sleep(_POLL_S)
        raise BenchError(f"the server was not ready after {READY_S:g} s:\n{said[-3000:]}")

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int | None:
        """SIGTERM, and wait for the end; gives the exit status, None when it had to be killed."""
        if self.alive:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            with trio.move_on_after(STOP_S):
                return await self.process.wait()
            await self.kill()
            return None
        return self.process.returncode

    def complaints(self) -> tuple[int, int]:
        """Lines of level error or worse, and tracebacks, in the log since the last call."""
        said = self._log.read_bytes() if self._log.exists() else b""
        new, self._read = said[self._read :].decode(errors="replace"), len(said)
        return len(_ERROR.findall(new)), new.count("Traceback (most recent call last)")

    def end(self) -> str:
        """The end of its log."""
        return self._log.read_bytes()[-3000:].decode(errors="replace") if self._log.exists() else ""

    async def discard(self) -> None:
        """End it and what works in its home, whatever state they are in."""
        if self._process is not None and self.alive:
            await self.stop()
        with trio.move_on_after(_GONE_S):
            while left := processes.working_below(self.home):
                processes.send(left, signal.SIGKILL, below=self.home)
                await trio.sleep(_POLL_S)


@asynccontextmanager
async def open_server(
    home: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """A started server.

    Args:
        home: an existing folder that Postgres' account can pass through.
        arguments: further arguments of `hubbub serve`.
        environment: of the process; None passes ours on.

    Raises:
        BenchError: it does not start.
    """
    server = Server(home, arguments, environment)
    try:
        await server.start()
        yield server
    finally:
        with trio.CancelScope(shield=True):
            await server.discard()
