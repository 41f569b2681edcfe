"""Starts one peer as a process of its own and stops it, as `bench/server.py` does for hubbub."""

from __future__ import annotations

import contextlib
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from ..server import Server, running
from .catalogue import Peer


@attrs.frozen
class Running:
    """A peer that listens.

    Attributes:
        server: Where, and which process; the CPU of the process and its children is the peer's.
        versions: What it is made of.
    """

    peer: Peer
    server: Server
    versions: str


@contextlib.contextmanager
def launched(peer: Peer) -> Iterator[Running]:
    """A peer for the length of a `with` block, on a free port of 127.0.0.1.

    Its open files are limited as hubbub's are: by the hard limit alone.

    Raises:
        Unavailable: It cannot run here.
        BenchError: It ended, or was not ready in time; its last lines of output are in the message.
    """
    with tempfile.TemporaryDirectory(prefix="hubbub-peer-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        program = peer.recipe.prepare(folder)
        with running(program.command, folder / "output.log", what=f"the peer {peer.name}") as server:
            assert server.pid is not None
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (most, most))
            yield Running(peer, server, program.versions)
