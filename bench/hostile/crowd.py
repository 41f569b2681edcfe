"""The attacking processes as seen by the bench: started, let go together, listened to, ended.

They end by themselves (`arena`); one that does not is killed. What one of them cannot do is a `BenchError`: an attack that
was not carried out proves nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from ..errors import BenchError
from .protocol import Go, Job, Ready, Report, line, read_answer

_READY_S: Final = 30.0
_QUIT_S: Final = 5.0
_Answer = TypeVar("_Answer", Ready, Report)


class Crowd:
    """All processes of one attack. Made by `crowd`, which also ends them."""

    def __init__(self, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self._processes: Final = processes

    def go(self, end_ns: int) -> None:
        """Attack until then."""
        for process in self._processes:
            _say(process, line(Go(end_ns)))

    def report(self, timeout_s: float) -> Report:
        """What came of the attack, added up over the processes.

        Raises:
            BenchError: A process failed, or did not end in time.
        """
        outcomes: Counter[str] = Counter()
        replies: Counter[str] = Counter()
        cpu_s = 0.0
        deadline_s = time.monotonic() + timeout_s
        for process in self._processes:
            report = _answer(process, Report, deadline_s)
            outcomes.update(report.outcomes)
            replies.update(report.replies)
            cpu_s += report.cpu_s
        return Report(outcomes=dict(outcomes), replies=dict(replies), cpu_s=cpu_s)


@contextlib.contextmanager
def crowd(jobs: Sequence[Job]) -> Iterator[Crowd]:
    """Attacking processes, ready to go, for the length of a `with` block.

    Raises:
        BenchError: One of them did not come up.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "hubbub.bench.hostile.attacker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        for _ in jobs
    ]
    try:
        deadline_s = time.monotonic() + _READY_S
        for process, job in zip(processes, jobs, strict=True):
            _say(process, line(job))
        for process in processes:
            _answer(process, Ready, deadline_s)
        yield Crowd(processes)
    finally:
        for process in processes:
            _end(process)


def _say(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended: its answer is waited for next, and says so
        process.stdin.write(data)
        process.stdin.flush()


def _answer(process: subprocess.Popen[bytes], wanted: type[_Answer], deadline_s: float) -> _Answer:
    assert process.stdout is not None
    data = b""
    while not data.endswith(b"\n"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not select.select([process.stdout], [], [], left_s)[0]:
            raise BenchError(f"an attacking process sent no {wanted.__name__} in time")
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            raise BenchError(f"an attacking process ended with code {process.wait()}")
        data += piece
    answer = read_answer(data)
    assert isinstance(answer, wanted)
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(_QUIT_S if process.poll() is None else None)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
