"""One Postgres server process: its settings, its start until it is ready, its stop, its log.

Its settings are given on the command line at every start, so they follow the program and not an old file. Durability is
not for sale here: fsync, synchronous_commit and full_page_writes are on. Messages are terse, since the details of a
Postgres error quote rows, and rows are what people wrote.
"""

import os
import signal
from pathlib import Path
from typing import BinaryIO

import attrs
import trio

from ..engine.log import get_logger
from ._account import Account, spawn
from ._binaries import Binaries
from ._cluster import PORT, Layout
from ._embedded_errors import PostgresFailed
from ._orphan import QUIT_GRACE_S, wake_stopped

_POLL_S = 0.01
_STATUS_LINE = 7  # of postmaster.pid, since version 10
_KILL_GRACE_S = 5.0
_TAIL_LINES = 20
_TAIL_BYTES = 8192
_logger = get_logger("hubbub.storage._postmaster")


@attrs.frozen
class Postmaster:
    """A Postgres that we started. It must be stopped, also when `wait_ready` fails or is cancelled."""

    layout: Layout
    _process: trio.Process
    _log_start_bytes: int

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until it has ended; return its exit status (negative: the signal)."""
        return await self._process.wait()

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until it accepts connections, looking every 10 ms.

        Raises:
            PostgresFailed: it ended, or `timeout_s` passed.
        """
        with trio.move_on_after(timeout_s):
            while not self._is_ready():
                if self._process.returncode is not None:
                    raise self.failure(f"Postgres ended while starting, exit status {self._process.returncode}")
                await trio.sleep(_POLL_S)
            return
        raise self.failure(f"Postgres was not ready within {timeout_s:g} s")

    def _is_ready(self) -> bool:
        try:
            lines = (self.layout.cluster / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > _STATUS_LINE and lines[0] == str(self.pid) and lines[_STATUS_LINE].strip() == "ready"

    def failure(self, what: str) -> PostgresFailed:
        """Return an error that quotes the last lines this process logged."""
        return PostgresFailed(
            f"{what}; its log is {self.layout.log}", log_tail=log_tail(self.layout.log, self._log_start_bytes)
        )

    async def stop(self, timeout_s: float, *, quit_s: float = QUIT_GRACE_S) -> None:
        """Stop it: fast shutdown, after `timeout_s` at once (the next start then recovers), after `quit_s` more SIGKILL.

        Does nothing when it has ended. Stopped processes (SIGSTOP) are continued, so that they can end. Call it under a shield.
        """
        steps = ((signal.SIGINT, timeout_s), (signal.SIGQUIT, quit_s), (signal.SIGKILL, _KILL_GRACE_S))
        for number, wait_s in steps:
            if self._process.returncode is not None:
                return
            if number is not signal.SIGINT:
                _logger.warning("postgres.slow_stop", pid=self.pid, signal=number.name)
            self._process.send_signal(number)
            await wake_stopped(self.layout.cluster)
            with trio.move_on_after(wait_s):
                await self._process.wait()


async def start_postmaster(
    layout: Layout, binaries: Binaries, account: Account, *, shared_buffers: str, max_connections: int
) -> Postmaster:
    """Start Postgres on the cluster; it is not ready yet. The caller has ended all leftovers and prepared the socket's place.

    Raises:
        OSError: it could not be started.
    """
    settings = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(layout.socket_dir),
        "unix_socket_permissions": "0700",
        "max_connections": str(max_connections),
        "shared_buffers": shared_buffers,
        **_SETTINGS,
        **(_SETTINGS_18 if binaries.major >= 18 else {}),
    }
    argv: list[str | Path] = [binaries.program("postgres"), "-D", layout.cluster]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    with open_log(layout.log) as log:
        start_bytes = log.tell()
        process = await spawn(argv, account=account, cwd=layout.cluster, output=log)
    return Postmaster(layout, process, start_bytes)


_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "autovacuum_max_workers": "2",
    "maintenance_work_mem": "32MB",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "max_wal_senders": "2",
    "max_replication_slots": "0",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",  # bounds the disk it takes and the time a recovery takes
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",  # its rotation has no bound in bytes; ours has
    "log_line_prefix": "%m [%p] ",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "cluster_name": "hubbub",
}
_SETTINGS_18 = {"io_method": "sync"}  # three processes less; what we read is in the page cache


def open_log(path: Path) -> BinaryIO:
    """Open the log for appending. Postgres appends too, so cutting the file short moves its next line to the front."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    log = os.fdopen(descriptor, "ab", buffering=0)
    log.seek(0, os.SEEK_END)
    return log


def log_tail(path: Path, start_bytes: int = 0) -> tuple[str, ...]:
    """Return the last lines of the log after `start_bytes`: at most 20, and of the last 8 KiB."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(start_bytes if start_bytes < size else 0, size - _TAIL_BYTES))
            return tuple(log.read(_TAIL_BYTES).decode(errors="replace").splitlines()[-_TAIL_LINES:])
    except OSError:
        return ()


def cut_log(layout: Layout, limit_bytes: int) -> None:
    """Move the log aside when it is over `limit_bytes`, keeping that much. Blocks, so run it in a thread.

    What is written in that instant is lost.
    """
    try:
        size = layout.log.stat().st_size
    except FileNotFoundError:
        return
    if size <= limit_bytes:
        return
    with layout.log.open("rb") as log:
        log.seek(size - limit_bytes)
        kept = log.read(limit_bytes)
    layout.old_log.unlink(missing_ok=True)
    with open_log(layout.old_log) as old:
        old.write(kept)
    os.truncate(layout.log, 0)
