"""The REST generator process as the bench sees it: started, told what to do, listened to, ended.

Every wait has a deadline, and a generator that fails or ends early ends the run with its reason (`BenchError`).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from ..errors import BenchError
from . import control

Tell = Callable[[str], None]
_Wanted = TypeVar("_Wanted", control.Ready, control.Done)
_QUIT_S: Final = 10.0


class Process:
    """A generator process. Made by `launched`, which also ends it."""

    def __init__(self, process: subprocess.Popen[bytes], tell: Tell) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process: Final = process
        self._stdin: Final = process.stdin
        self._stdout: Final = process.stdout
        self._tell: Final = tell
        self._bytes = b""
        self._reports: list[control.Report] = []

    def send(self, value: control.Job | control.Go) -> None:
        """Give it its next line."""
        with contextlib.suppress(BrokenPipeError):  # its last words say why, and are read next
            self._stdin.write(control.line(value))
            self._stdin.flush()

    def wait(self, wanted: type[_Wanted], timeout_s: float) -> _Wanted:
        """Wait for this report.

        Raises:
            BenchError: The generator failed or ended, or the time is up.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for report in self._reports:
                if isinstance(report, wanted):
                    self._reports.remove(report)
                    return report
            self._listen(0.2)
        raise BenchError(f"no {wanted.__name__} from the generator within {timeout_s:g} s")

    def until(self, instant_ns: int) -> None:
        """Wait until a time on the monotonic clock, passing on progress."""
        while (left_ns := instant_ns - time.monotonic_ns()) > 0:
            self._listen(min(left_ns / 1e9, 0.2))

    def _listen(self, wait_s: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            if not selector.select(wait_s):
                return
        data = os.read(self._stdout.fileno(), 1 << 16)
        if not data:
            raise BenchError(f"the generator ended with code {self._process.wait()}")
        *lines, self._bytes = (self._bytes + data).split(b"\n")
        for line in lines:
            report = control.read_report(line)
            if isinstance(report, control.Failed):
                raise BenchError(f"the generator gave up: {report.reason}")
            if isinstance(report, control.Progress):
                self._tell(f"{report.stage}: {report.asked:,} asked, {report.answered:,} answered")
            else:
                self._reports.append(report)


@contextlib.contextmanager
def launched(tell: Tell) -> Iterator[Process]:
    """A generator process for the length of a `with` block; it ends when its stdin does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hubbub.bench.rest.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    try:
        yield Process(process, tell)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_QUIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
