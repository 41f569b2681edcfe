"""Small files: what is read of them, and what is not opened in earnest."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hubbub.transport.small_file import read_small


def test_a_bound(tmp_path: Path) -> None:
    """One byte more than asked for, so that a longer file can be told."""
    file = tmp_path / "file"
    file.write_bytes(b"abcdef")
    assert read_small(file, 6)[0] == b"abcdef"
    assert read_small(file, 4)[0] == b"abcde"
    assert read_small(file, 4)[1].st_size == 6


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    """A pipe without a writer, a device without an end, a socket, a directory; nothing is left open."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        before = len(list(Path("/proc/self/fd").iterdir()))
        for path in (pipe, Path("/dev/zero"), tmp_path / "socket", tmp_path, tmp_path / "none"):
            with pytest.raises(OSError, match=r".") as caught:
                read_small(path, 10)
            assert caught.value.strerror
        assert len(list(Path("/proc/self/fd").iterdir())) == before
