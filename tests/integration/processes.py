"""A server that is killed and started again on the same data directory and port, so that its clients can come back to it.

Postgres runs as an unprivileged user when the tests run as root, so the data directory is made under /tmp and not in pytest's
own, which is closed to others.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import attrs
import psutil

from ..serverproc import ServerProcess, start_server


def fresh_directory() -> Path:
    """A directory that the account of Postgres can pass through."""
    directory = Path(tempfile.mkdtemp(prefix="hubbub-it-", dir="/tmp"))
    directory.chmod(0o711)
    return directory


@attrs.define(eq=False)
class Server:
    """One place with a server, over all its lives.

    Attributes:
        home: holds the data directory and the log.
        program: what is started instead of `python -m hubbub`.
        process: of its present life.
    """

    home: Path = attrs.Factory(fresh_directory)
    program: tuple[str, ...] | None = None
    process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        assert self.process is not None, "it has never been started"
        return self.process.url

    @property
    def websocket_url(self) -> str:
        """Where the Centrifugal protocol is spoken."""
        return self.url.replace("http://", "ws://") + "/connection/websocket"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None, "it has never been started"
        return self.process.pid

    @property
    def postgres_pid(self) -> int:
        """The process id of its Postgres, as Postgres wrote it down."""
        return int(self._postmaster_file()[0])

    @property
    def socket_directory(self) -> str:
        """Where its Postgres listens."""
        return self._postmaster_file()[4]

    def _postmaster_file(self) -> list[str]:
        return (self.home / "data" / "pg" / "postmaster.pid").read_text().split("\n")

    def start(self, *arguments: str) -> None:
        """Start it, on the port of its last life, and wait until it is ready."""
        port = 0 if self.process is None else self.process.port
        more = {} if self.program is None else {"program": self.program}
        self.process = start_server(self.home / "data", *arguments, port=port, **more)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone. Its Postgres lives on, as an orphan."""
        assert self.process is not None
        self.process.kill()

    def stop(self) -> int:
        """SIGTERM, and wait until it has drained; return its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait()

    def check_log(self) -> None:
        """It runs, and has not met a bug of its own."""
        assert self.process is not None
        said = self.process.output()
        assert "Traceback" not in said, said[-8000:]
        assert psutil.pid_exists(self.pid), f"the server ended:\n{said[-8000:]}"

    def discard(self) -> None:
        """End it and what it left, and remove its files."""
        try:
            if self.process is not None:
                self.process.close()
        finally:
            shutil.rmtree(self.home)
