"""Directories watched through inotify, on trio's own loop: no thread, nothing to wake up for while nothing happens.

`watchfiles` was tried: its thread wakes up a hundred times a second when it is to notice within 10 ms (0.7 % of a core, idle),
and a cancelled watch took 4 s to end. Less than it gives is needed here: that something in some directories happened.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

import trio

_ATTRIB: Final = 0x4
_CLOSE_WRITE: Final = 0x8
_MOVED: Final = 0x40 | 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_SELF: Final = 0x400 | 0x800
_ONLYDIR: Final = 0x01000000
_MASK: Final = _ATTRIB | _CLOSE_WRITE | _MOVED | _CREATE | _DELETE | _SELF | _ONLYDIR
_READ_BYTES: Final = 64 * 1024


class DirectoryWatch:
    """Tells that something happened in one of some directories. Use it as a context manager.

    Raises:
        OSError: the machine gives no more watches (`fs.inotify.max_user_instances`), or has no inotify.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._libc, "inotify_init1"):
            raise OSError("there is no inotify on this system")
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._watched: dict[int, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    def watch(self, directories: Iterable[Path]) -> None:
        """Watch these and no others. A directory that is not there is passed over.

        Raises:
            OSError: the machine gives no more watches (`fs.inotify.max_user_watches`).
        """
        found: dict[int, Path] = {}
        for directory in directories:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                number = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), _MASK)
                found[self._checked(number)] = directory
        for number in self._watched.keys() - found.keys():
            self._libc.inotify_rm_watch(self._fd, number)  # it may be gone with its directory
        self._watched = found

    async def wait(self) -> None:
        """Wait until something happened; all that has happened by then is one event. Cancellation loses nothing."""
        await trio.lowlevel.wait_readable(self._fd)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fd, _READ_BYTES):
                pass

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result
