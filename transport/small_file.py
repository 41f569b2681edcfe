"""Small files that others name: configuration, keys, secrets. Read whole, within a bound, without waiting for anybody."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_small(path: Path, most_bytes: int) -> tuple[bytes, os.stat_result]:
    """At most one byte more than `most_bytes` of a file, so that a longer one can be told, and what the system knows of it.

    A pipe, a socket or a device is refused: to open one may wait for ever for somebody at its other end, in a thread that
    nobody can stop.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most_bytes + 1), status
    finally:
        os.close(descriptor)
