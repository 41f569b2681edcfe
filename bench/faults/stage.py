"""The place of the rounds of one scene: a server, its Postgres, and what stands between them and the clients.

Leaving the stage leaves nothing: no process, no mount, no folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import attrs

from ...storage.embedded import EmbeddedSettings, open_embedded
from ..errors import BenchError
from . import processes
from .client import Target
from .crowd import become_guest
from .kinds import CannotInject, Scene
from .proxy import Proxy, open_proxy, to_port, to_unix
from .server import Server, open_server
from .tables import Where

DISK_BYTES: Final = 224 << 20
_DEATHS_OF_ONE_LIFE: Final = 4
"""An embedded Postgres that dies more than five times a minute is given up by design; the server is restarted before that."""
_FAKETIME: Final = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)


@attrs.define(eq=False)
class Stage:
    """Where rounds are played.

    Attributes:
        server: under test.
        target: where clients connect, with a token.
        client_wires: the proxy that they go through, where there is one.
        database_wires: the proxy before Postgres, where there is one.
        disk: the small disk's folder, where there is one.
        clock: the file that moves the server's clock, where there is one.
    """

    server: Server
    data: Path
    target: Target
    client_wires: Proxy | None = None
    database_wires: Proxy | None = None
    disk: Path | None = None
    clock: Path | None = None
    _where: Where | None = None
    _deaths: int = 0

    @property
    def cluster(self) -> Path:
        """The data directory of its Postgres."""
        return self.data / "pg"

    @property
    def direct(self) -> Target:
        """The server without a proxy."""
        return attrs.evolve(self.target, port=self.server.port)

    def where(self) -> Where:
        """How to reach Postgres past the server.

        Raises:
            BenchError: it does not run.
        """
        if self._where is not None:
            return self._where
        try:
            socket_dir = (self.cluster / "postmaster.pid").read_text().split("\n")[4]
        except (OSError, IndexError):
            raise BenchError("Postgres does not run") from None
        return {"host": socket_dir, "port": 5432, "user": "hubbub", "database": "hubbub"}

    def postmaster(self) -> int:
        """The pid of the embedded Postgres.

        Raises:
            CannotInject: it does not run.
        """
        pid = processes.postmaster(self.cluster)
        if pid is None:
            raise CannotInject("Postgres does not run")
        return pid

    async def restarted(self) -> float:
        """Start the server again after it has ended; gives the seconds until it was ready."""
        self._deaths = 0
        return await self.server.start()

    async def before_a_death(self) -> None:
        """Postgres is about to die. Past a number of deaths the server is restarted first, or it would give up by design."""
        if self._deaths >= _DEATHS_OF_ONE_LIFE:
            status = await self.server.stop()
            if status != 0:
                raise BenchError(f"asked to stop, the server ended with {status}:\n{self.server.end()}")
            await self.restarted()
        self._deaths += 1


@asynccontextmanager
async def open_stage(scene: Scene) -> AsyncIterator[Stage]:
    """A stage with a server that is ready and a guest's token.

    Raises:
        CannotInject: this machine does not have what the scene needs.
        BenchError: the server does not start.
    """
    with _folder() as home:
        match scene:
            case Scene.EMBEDDED:
                async with _embedded(home) as stage:
                    yield stage
            case Scene.CLIENT_WIRES:
                async with _client_wires(home) as stage:
                    yield stage
            case Scene.DATABASE_WIRES:
                async with _database_wires(home) as stage:
                    yield stage
            case Scene.SMALL_DISK:
                with _small_disk(home) as disk:
                    async with _embedded(home, data=disk / "data") as stage:
                        stage.disk = disk
                        yield stage
            case Scene.FALSE_CLOCK:
                library, clock = faketime_library(), home / "clock"
                clock.write_text("+0\n")
                async with _embedded(home, environment=_false_clock(library, clock)) as stage:
                    stage.clock = clock
                    yield stage


def check(scene: Scene) -> None:
    """See whether this machine has what a scene needs, as far as that can be seen without opening it.

    Raises:
        CannotInject: it has not.
    """
    match scene:
        case Scene.SMALL_DISK:
            _check_mount()
        case Scene.FALSE_CLOCK:
            faketime_library()
        case _:
            pass


def _check_mount() -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        raise CannotInject("a small disk is a tmpfs, which only root can mount")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hubbub-faults-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # Postgres runs as another user when we are root
        yield Path(name)


@asynccontextmanager
async def _embedded(
    home: Path, *, data: Path | None = None, environment: dict[str, str] | None = None
) -> AsyncIterator[Stage]:
    data = home / "data" if data is None else data
    async with open_server(home, ("--data", str(data)), environment) as server:
        yield Stage(server, data, await become_guest(Target("127.0.0.1", server.port)))


@asynccontextmanager
async def _client_wires(home: Path) -> AsyncIterator[Stage]:
    async with _embedded(home) as stage, open_proxy(to_port(lambda: stage.server.port)) as proxy:
        stage.target = attrs.evolve(stage.target, port=proxy.port)
        stage.client_wires = proxy
        yield stage


@asynccontextmanager
async def _database_wires(home: Path) -> AsyncIterator[Stage]:
    """A Postgres that is ours and never dies; the server reaches it by TCP through the proxy."""
    with _folder() as place:  # not below the server's home, whose processes end with it
        data = place / "postgres"
        async with _fronted(data) as (proxy, where), open_server(home, ("--database-url", _url(proxy))) as server:
            target = await become_guest(Target("127.0.0.1", server.port))
            yield Stage(server, data, target, database_wires=proxy, where=where)


@asynccontextmanager
async def _fronted(data: Path) -> AsyncIterator[tuple[Proxy, Where]]:
    async with open_embedded(EmbeddedSettings(data)) as postgres:
        where = dict(postgres.connect_args)
        socket_path = f"{where['host']}/.s.PGSQL.{where['port']}"
        async with open_proxy(to_unix(socket_path)) as proxy:
            yield proxy, where


def _url(proxy: Proxy) -> str:
    return f"postgresql://hubbub@127.0.0.1:{proxy.port}/hubbub?sslmode=disable"


@contextmanager
def _small_disk(home: Path) -> Iterator[Path]:
    _check_mount()
    disk = home / "disk"
    disk.mkdir()
    options = f"size={DISK_BYTES},mode=0755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "hubbub-faults", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotInject(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], capture_output=True, check=False)


def faketime_library() -> Path:
    """The library that moves the clock of one process.

    Raises:
        CannotInject: it is not installed.
    """
    for pattern in _FAKETIME:
        for found in sorted(Path("/").glob(pattern.lstrip("/"))):
            return found
    raise CannotInject(
        "libfaketime is not installed (Debian: apt install faketime), and the machine's clock is not ours"
    )


def _false_clock(library: Path, clock: Path) -> dict[str, str]:
    """Only the wall clock is moved, as when an administrator sets it; the monotonic one goes on."""
    return {
        **os.environ,  # noqa: TID251  the server gets what we have, as with every other stage
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
