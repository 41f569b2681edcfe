"""Starting and stopping a peer, with small programs in its place."""

import os
import resource
import sys
from pathlib import Path

import attrs
import pytest

from hubbub.bench.errors import BenchError
from hubbub.bench.peers.catalogue import BY_NAME, Peer
from hubbub.bench.peers.launch import launched
from hubbub.bench.peers.prepare import Program

READY = "import time; print('ready at http://127.0.0.1:4711', flush=True); time.sleep(60)"


@attrs.frozen
class Script:
    text: str

    def prepare(self, folder: Path) -> Program:
        (folder / "made").touch()
        return Program((sys.executable, "-c", self.text), "1.0")


def peer(text: str) -> Peer:
    return attrs.evolve(BY_NAME["ws"], name="fake", recipe=Script(text))


def test_a_peer_is_started_with_all_its_files_and_stopped() -> None:
    """The ready line gives the address, open files are limited by the hard limit alone, and the process goes."""
    with launched(peer(READY)) as running:
        assert (running.server.url, running.versions) == ("http://127.0.0.1:4711", "1.0")
        pid = running.server.pid
        assert pid is not None
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        assert soft == hard
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_peer_that_ends_early_tells_why() -> None:
    """Its name, exit code and last output are in the error."""
    dying = peer("raise SystemExit('no luck')")
    with pytest.raises(BenchError, match=r"(?s)peer fake ended with code 1.*no luck"), launched(dying):
        pass
