"""CPU of a server and of its Postgres in nanoseconds, and its memory. The clock ticks of /proc/PID/stat are 10 ms apart, which is
as long as a whole measurement here; the scheduler's own count of each thread is exact."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from .. import procfs
from ..errors import BenchError
from ..server import Server

_BLOCKS: Final = 5


@attrs.frozen
class Cost:
    """CPU of one operation, in microseconds: of the server, and of Postgres."""

    server_us: float
    postgres_us: float


def cpu_ns(pid: int) -> int:
    """CPU that the threads of a process have used so far.

    Raises:
        BenchError: the process is gone, or the kernel does not tell.
    """
    total = 0
    try:
        for thread in (Path("/proc") / str(pid) / "task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    except (OSError, ValueError, IndexError) as error:
        raise BenchError(f"the CPU time of process {pid} cannot be read: {error}") from error
    return total


class Meter:
    """Looks at one server that was started here."""

    def __init__(self, server: Server) -> None:
        assert server.pid is not None, "a server of our own has a process"
        self._pid = server.pid
        self._data = server.data

    @property
    def rss_bytes(self) -> int:
        """Resident memory of the server, without Postgres."""
        return procfs.read_memory(self._pid).rss_bytes

    def cost(self, work: Callable[[], int], blocks: int = _BLOCKS) -> Cost:
        """CPU of one operation: the median of some blocks.

        Args:
            work: carries out a block of operations to their end, and says how many they were.
        """
        postgres = procfs.postgres_pids(self._pid, self._data)
        taken: list[Cost] = []
        for _ in range(blocks):
            server, database = cpu_ns(self._pid), sum(map(cpu_ns, postgres))
            count = work()
            server, database = cpu_ns(self._pid) - server, sum(map(cpu_ns, postgres)) - database
            taken.append(Cost(server / count / 1e3, database / count / 1e3))
        return Cost(
            statistics.median(cost.server_us for cost in taken), statistics.median(cost.postgres_us for cost in taken)
        )
