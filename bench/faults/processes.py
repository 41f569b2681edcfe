"""Finding processes by what they work on, and signalling them. Linux, from /proc.

A pid from a file is believed only when that process works in the directory in question; who is signalled is held by a pidfd
meanwhile, so a pid that was used anew is not hit.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from ..procfs import all_stats


def postmaster(cluster: Path) -> int | None:
    """The pid of the Postgres that runs on a cluster, or None."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if _works_in(pid, cluster) else None


def accepts_connections(cluster: Path) -> bool:
    """Whether the Postgres that runs on a cluster says that it is ready, in the last line of its pid file."""
    try:
        return (cluster / "postmaster.pid").read_text().split("\n")[7:8][0].strip() == "ready"
    except (OSError, IndexError):
        return False


def family(pid: int) -> list[int]:
    """A process and its children, the process first."""
    return [pid, *(stat.pid for stat in all_stats().values() if stat.parent == pid)]


def backends(pid: int) -> list[int]:
    """The children of a postmaster that serve clients, by their titles."""
    return [child for child in family(pid)[1:] if b"hubbub hubbub " in _title(child)]


def working_below(folder: Path) -> list[int]:
    """Processes whose working directory is in a folder."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and _is_below(entry, folder)]


def send(pids: Iterable[int], number: signal.Signals, *, below: Path) -> int:
    """Signal those of them that still work below a folder; gives how many."""
    sent = 0
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if _is_below(Path("/proc", str(pid)), below):
                signal.pidfd_send_signal(handle, number)
                sent += 1
        except ProcessLookupError:
            continue
        finally:
            os.close(handle)
    return sent


def stopped(pid: int) -> bool:
    """Whether a process stands still (SIGSTOP)."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(") ")[2][:1] == "T"
    except OSError:
        return False


def descriptors(pid: int) -> int:
    """How many descriptors a process has open; 0 when it is gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  paths are not needed
    except OSError:
        return 0


def address_space(pid: int) -> int:
    """Bytes of address space that a process has; 0 when it is gone."""
    try:
        pages = Path("/proc", str(pid), "statm").read_text().split()[0]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _title(pid: int) -> bytes:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return b""


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path("/proc", str(pid), "cwd").readlink() == folder.resolve()
    except OSError:
        return False


def _is_below(entry: Path, folder: Path) -> bool:
    try:
        return (entry / "cwd").readlink().is_relative_to(folder.resolve())
    except OSError:
        return False
