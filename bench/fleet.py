"""The generator processes as seen by the bench: started, told what to do, listened to, ended.

Every wait has a deadline, and a generator that fails or ends early ends the run with its reason (`BenchError`).
While it waits the fleet passes on progress, so the command line can show it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from . import control
from .errors import BenchError

Tell = Callable[[str], None]
_Wanted = TypeVar("_Wanted", control.Connected, control.Posted, control.Done, control.Finished)
_QUIT_S: Final = 10.0


class Fleet:
    """All generators of a run. Made by `launched`, which also ends them.

    Attributes:
        intervals: Seconds of measured windows that the generators reported; the reader clears them.
    """

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]], tell: Tell) -> None:
        self._processes: Final = processes
        self._tell: Final = tell
        self._bytes: Final = [b"" for _ in processes]
        self._progress: Final[dict[int, control.Progress]] = {}
        self._reports: list[tuple[int, control.Report]] = []  # read, and not yet asked for
        self.intervals: Final[list[control.Interval]] = []
        self._selector: Final = selectors.DefaultSelector()
        for index, process in enumerate(processes):
            assert process.stdout is not None
            self._selector.register(process.stdout, selectors.EVENT_READ, index)

    def close(self) -> None:
        """Stop listening; the generators end when their stdin does."""
        self._selector.close()

    def send(self, lines: Sequence[control.Job | control.Command]) -> None:
        """Give each generator its line, in their order."""
        for process, value in zip(self._processes, lines, strict=True):
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # its last words say why, and are read next
                process.stdin.write(control.line(value))
                process.stdin.flush()

    def gather(self, wanted: type[_Wanted], timeout_s: float) -> list[_Wanted]:
        """Wait for one report of this kind from every generator; in their order. Nothing else can be due then.

        Raises:
            BenchError: A generator failed or ended, or the time is up.
        """
        found: dict[int, _Wanted] = {}
        deadline = time.monotonic() + timeout_s
        while True:
            found.update((index, report) for index, report in self._reports if isinstance(report, wanted))
            self._reports.clear()
            if len(found) == len(self._processes):
                return [found[index] for index in sorted(found)]
            if time.monotonic() > deadline:
                raise BenchError(f"no {wanted.__name__} from a generator within {timeout_s:g} s")
            self._listen(0.2)

    def until(self, instant_ns: int) -> None:
        """Wait until a time on the monotonic clock, passing on progress."""
        while (left_ns := instant_ns - time.monotonic_ns()) > 0:
            self._listen(min(left_ns / 1e9, 0.2))

    def _listen(self, wait_s: float) -> None:
        for key, _ in self._selector.select(wait_s):
            index: int = key.data
            data = os.read(key.fd, 1 << 16)
            if not data:
                raise BenchError(f"generator {index} ended with code {self._processes[index].wait()}")
            *lines, self._bytes[index] = (self._bytes[index] + data).split(b"\n")
            for line in lines:
                report = control.read_report(line)
                if isinstance(report, control.Failed):
                    raise BenchError(f"generator {index}: {report.reason}")
                if isinstance(report, control.Progress):
                    self._progress[index] = report
                    self._show()
                elif isinstance(report, control.Interval):
                    self.intervals.append(report)
                else:
                    self._reports.append((index, report))

    def connected(self) -> int:
        """Connections open, as far as told."""
        return sum(progress.connected for progress in self._progress.values())

    def _show(self) -> None:
        all_of = self._progress.values()
        connected, delivered = sum(p.connected for p in all_of), sum(p.delivered for p in all_of)
        sent, acked = sum(p.sent for p in all_of), sum(p.acked for p in all_of)
        self._tell(f"{connected:,} connected, {sent:,} posts sent, {acked:,} acknowledged, {delivered:,} deliveries")


@contextlib.contextmanager
def launched(count: int, tell: Tell) -> Iterator[Fleet]:
    """Generator processes for the length of a `with` block.

    Args:
        count: How many.
        tell: Gets a line of progress now and then.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "hubbub.bench.generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        for _ in range(count)
    ]
    fleet = Fleet(processes, tell)
    try:
        yield fleet
    finally:
        fleet.close()
        for process in processes:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        for process in processes:
            try:
                process.wait(_QUIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()
