"""Find and end what is left of an earlier Postgres on a directory: after kill -9 of the server, or of the postmaster.

A pid from a file is never believed: it may be stale and name a foreign process by now. A process is ours only if its
executable is Postgres (or initdb) *and* its working directory is, by device and inode, the directory in question;
Postgres always works inside its data directory. Who is signalled is checked again on a pidfd, so that a pid that was
used anew in between is not hit. Zombies hold nothing and have no executable, so they are not seen.

The caller holds the lock on the data directory, so no living server of ours owns what is found here. Postgres in another
pid namespace is not seen; its shared memory then makes the new one refuse to start.
"""

import os
import signal
from collections.abc import Collection
from pathlib import Path

import trio

from ..engine.log import get_logger
from ._embedded_errors import PostgresFailed

_EXECUTABLES = frozenset({"postgres", "initdb"})
_POLL_S = 0.02
_CHILD_GRACE_S = 1.0
QUIT_GRACE_S = 6.0
"""Time after SIGQUIT: a postmaster then kills slow children itself after 5 s."""
_KILL_GRACE_S = 5.0
_logger = get_logger("hubbub.storage._orphan")


def postmaster_pid(directory: Path) -> int | None:
    """Return the pid that ``postmaster.pid`` names, true or stale, or None when there is none."""
    try:
        return int((directory / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def processes_in(directory: Path) -> list[int]:
    """Return the pids of all Postgres and initdb processes that work in `directory`, ascending."""
    try:
        status = directory.stat()
    except FileNotFoundError:
        return []
    place = (status.st_dev, status.st_ino)
    names = os.listdir("/proc")  # noqa: PTH208 (half the cost of making paths)
    return sorted(int(name) for name in names if name.isdigit() and _works_in(name, place))


def _works_in(pid: str, place: tuple[int, int]) -> bool:
    process = Path("/proc", pid)
    try:
        executable = process.joinpath("exe").readlink().name.removesuffix(" (deleted)")  # a reinstall removes the file
        if executable not in _EXECUTABLES:
            return False
        status = process.joinpath("cwd").stat()
    except OSError:  # gone, a zombie, or another user's
        return False
    return (status.st_dev, status.st_ino) == place


async def end_leftovers(directory: Path, *, grace_s: float, quit_s: float = QUIT_GRACE_S) -> int:
    """End all Postgres processes that work in `directory` and wait until they, and with them their memory, are gone.

    A postmaster gets a fast shutdown (SIGINT) and `grace_s` seconds; children without one get a second to see that it
    died. Then SIGQUIT, then SIGKILL. Stopped ones (SIGSTOP) are continued, or they would see nothing of it.

    Args:
        directory: where they work.
        grace_s: time for a fast shutdown, seconds.
        quit_s: time after SIGQUIT, seconds.

    Returns:
        How many processes were found, 0 when there was nothing to do.

    Raises:
        PostgresFailed: some of them do not even end by SIGKILL.
    """
    found = await trio.to_thread.run_sync(processes_in, directory)
    if not found:
        return 0
    postmaster = postmaster_pid(directory)
    _logger.info("postgres.leftovers", directory=str(directory), pids=found, postmaster=postmaster)
    if postmaster in found:
        _send(directory, [postmaster], signal.SIGINT)
        _send(directory, found, signal.SIGCONT)
        gone = await _wait_gone(directory, grace_s)
    else:
        _send(directory, found, signal.SIGCONT)
        gone = await _wait_gone(directory, _CHILD_GRACE_S)
    if not gone:
        left = await trio.to_thread.run_sync(processes_in, directory)
        _send(directory, [postmaster] if postmaster in left else left, signal.SIGQUIT)
        gone = await _wait_gone(directory, quit_s)
    if not gone:
        await kill_leftovers(directory)
    return len(found)


async def wake_stopped(directory: Path) -> None:
    """Continue the processes that work in `directory`: one that is stopped heeds no signal but SIGKILL."""
    found = await trio.to_thread.run_sync(processes_in, directory)
    if found:
        _send(directory, found, signal.SIGCONT)


async def kill_leftovers(directory: Path) -> None:
    """Kill what works in `directory`, again and again until nothing does: initdb may start a child meanwhile.

    Raises:
        PostgresFailed: some of them do not even end by SIGKILL.
    """
    with trio.move_on_after(_KILL_GRACE_S):
        while left := await trio.to_thread.run_sync(processes_in, directory):
            _send(directory, left, signal.SIGKILL)
            await trio.sleep(_POLL_S)
        return
    raise PostgresFailed(f"processes of an earlier Postgres in {directory} do not end by SIGKILL")


def remove_stale_pid_file(directory: Path) -> None:
    """Remove a ``postmaster.pid`` whose pid lives on as a foreign process: Postgres would take that for a postmaster.

    Call it after `end_leftovers`. With any other stale file Postgres deals itself, and better: it also looks at the shared
    memory that the file names.
    """
    pid = postmaster_pid(directory)
    if pid is not None and Path("/proc", str(pid)).exists():
        _logger.info("postgres.stale_pid_file", directory=str(directory), foreign_pid=pid)
        directory.joinpath("postmaster.pid").unlink()


async def _wait_gone(directory: Path, timeout_s: float) -> bool:
    with trio.move_on_after(timeout_s):
        while await trio.to_thread.run_sync(processes_in, directory):  # noqa: ASYNC110 (another program's end)
            await trio.sleep(_POLL_S)
        return True
    return False


def _send(directory: Path, pids: Collection[int], number: signal.Signals) -> None:
    status = directory.stat()
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if _works_in(str(pid), (status.st_dev, status.st_ino)):
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            continue
        finally:
            os.close(handle)
