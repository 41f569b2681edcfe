"""CPU time and memory of processes on this machine, from /proc (Linux).

CPU is counted in two groups: Postgres, and everything else that descends from the server's process. Postgres is found
by its process name among the descendants, wherever it stands, and by a `postmaster.pid` in the data directory if it
was started detached. Its backends come and go, so their reaped time counts, through their parent.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import attrs

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_POSTGRES: Final = ("postgres", "postmaster")


@attrs.frozen
class Cpu:
    """CPU seconds, user and system, used since the processes started."""

    server_user_s: float
    server_system_s: float
    postgres_s: float

    def since(self, earlier: Cpu) -> Cpu:
        """What was used between two readings."""
        return Cpu(
            self.server_user_s - earlier.server_user_s,
            self.server_system_s - earlier.server_system_s,
            self.postgres_s - earlier.postgres_s,
        )

    @property
    def server_s(self) -> float:
        """User and system together, without Postgres."""
        return self.server_user_s + self.server_system_s


@attrs.frozen
class Memory:
    """Memory of one process in bytes; `pss_bytes` is 0 where the kernel does not tell."""

    rss_bytes: int
    pss_bytes: int


@attrs.frozen
class Stat:
    """The part of /proc/PID/stat that is used here; times in seconds. One that has ended waits for its parent."""

    pid: int
    name: str
    parent: int
    user_s: float
    system_s: float
    reaped_s: float
    ended: bool = False


def parse_stat(text: str) -> Stat:
    """Read a line of /proc/PID/stat; the name may hold spaces and parentheses."""
    pid, _, rest = text.partition(" (")
    name, _, fields_text = rest.rpartition(") ")
    fields = fields_text.split()
    user, system, reaped_user, reaped_system = (int(ticks) / _TICKS_PER_S for ticks in fields[11:15])
    return Stat(int(pid), name, int(fields[1]), user, system, reaped_user + reaped_system, ended=fields[0] in "ZX")


def all_stats() -> dict[int, Stat]:
    """Every process of this machine by its id."""
    stats: dict[int, Stat] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = parse_stat((entry / "stat").read_text())
            except OSError:
                continue  # gone since the directory was read
            stats[stat.pid] = stat
    return stats


def _family(stats: dict[int, Stat], roots: set[int]) -> set[int]:
    """The roots and all their descendants."""
    found = {pid for pid in roots if pid in stats}
    grown = True
    while grown:
        more = {stat.pid for stat in stats.values() if stat.parent in found} - found
        found |= more
        grown = bool(more)
    return found


def detached_postgres(data: Path | None) -> set[int]:
    """The Postgres that runs on a data directory, by its pid file, whoever started it."""
    if data is None:
        return set()
    found: set[int] = set()
    for file in (data / "postmaster.pid", data / "pg" / "postmaster.pid"):
        try:
            pid = int(file.read_text().partition("\n")[0])
            name = parse_stat((Path("/proc") / str(pid) / "stat").read_text()).name
        except (OSError, ValueError):
            continue  # none, being written, or left over from one that has ended
        if name in _POSTGRES:
            found.add(pid)
    return found


def read_cpu(pid: int, data: Path | None = None) -> Cpu:
    """CPU used so far by a server and its Postgres.

    Args:
        pid: The server's process.
        data: Its data directory, to find a Postgres that is not its descendant.

    Raises:
        ProcessLookupError: There is no such process, or it has ended.
    """
    stats = all_stats()
    if pid not in stats or stats[pid].ended:
        raise ProcessLookupError(f"no process {pid}")
    family = [stats[member] for member in _family(stats, {pid} | detached_postgres(data))]
    postgres = [stat for stat in family if stat.name in _POSTGRES]
    server = [stat for stat in family if stat.name not in _POSTGRES]
    return Cpu(
        sum(stat.user_s for stat in server),
        sum(stat.system_s for stat in server),
        sum(stat.user_s + stat.system_s + stat.reaped_s for stat in postgres),
    )


def postgres_pids(pid: int, data: Path | None = None) -> list[int]:
    """The processes of a server's Postgres; arguments as for `read_cpu`."""
    stats = all_stats()
    family = _family(stats, {pid} | detached_postgres(data))
    return [member for member in sorted(family) if stats[member].name in _POSTGRES]


def read_machine_busy_s() -> float:
    """CPU seconds that all cores together were not idle since boot, by whomever; time stolen by the host counts."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_guest = (
        int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S


def _kib_line(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def read_memory(pid: int) -> Memory:
    """Memory of one process, without its children.

    Raises:
        OSError: There is no such process, or it is not ours to look at.
    """
    proc = Path("/proc") / str(pid)
    try:
        rollup = (proc / "smaps_rollup").read_text()
    except PermissionError:
        rollup = ""
    return Memory(_kib_line((proc / "status").read_text(), "VmRSS"), _kib_line(rollup, "Pss"))


def read_rss(pid: int) -> int:
    """Resident bytes of one process; cheaper than `read_memory`.

    Raises:
        OSError: There is no such process, or it is not ours to look at.
    """
    return _kib_line((Path("/proc") / str(pid) / "status").read_text(), "VmRSS")


def pin(pid: int, cpu: int) -> None:
    """Keep all threads that a process has now, and those they start, on one core; its children stay free."""
    for thread in (Path("/proc") / str(pid) / "task").iterdir():
        os.sched_setaffinity(int(thread.name), {cpu})
