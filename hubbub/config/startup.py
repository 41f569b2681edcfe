"""A server's start and life with its configuration: what the command line says, what was read, and the reloading of it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path as FilePath
from typing import Any, Final

import attrs
import trio

from ..engine.core.secret import Secret
from ..limits import fit_descriptors
from ..storage.embedded import EmbeddedSettings, default_data_dir
from ..transport.certificates import Certificates
from ..transport.live import Live
from ..transport.serve import ServeSettings
from . import overrides
from .loader import Loaded, Sources, load
from .reloader import Reloader
from .schema import Path
from .sources import CONFIG_VARIABLE, Flag, default_file, environment
from .tree import Config
from .watcher import watch_files

FLAGS: Final[Mapping[str, Path]] = {
    "host": ("serve", "host"),
    "port": ("serve", "port"),
    "tls_cert": ("serve", "tls", "cert"),
    "tls_key": ("serve", "tls", "key"),
    "data": ("store", "data"),
    "database_url": ("store", "database_url"),
    "guests": ("access", "guests"),
    "log_level": ("log", "level"),
    "log_format": ("log", "format"),
}
"""Which setting a flag of `hubbub serve` is, by the name of its parameter. A new flag is a line here."""


@attrs.frozen(kw_only=True)
class Started:
    """The configuration of a start.

    Attributes:
        admin: what admins have set, as nested tables.
        data: the data directory.
    """

    sources: Sources
    loaded: Loaded
    admin: Mapping[str, Any]
    data: FilePath

    @property
    def config(self) -> Config:
        """What was read."""
        return self.loaded.config

    def serve_settings(self) -> ServeSettings:
        """How to serve: with the live settings of the start, and as many connections as the system lets us have."""
        serve = self.config.static.serve
        return attrs.evolve(serve, live=self.config.live, table=fit_descriptors(serve.table))

    def embedded(self) -> EmbeddedSettings:
        """How to run the embedded Postgres."""
        return EmbeddedSettings(self.data, **attrs.asdict(self.config.static.postgres, recurse=False))

    def database_url(self) -> str | None:
        """The database, where it is not the embedded one. Not to be logged."""
        url: Secret | None = self.config.static.store.database_url
        return None if url is None else url.reveal()

    def reloader(self, live: Live, wall: Callable[[], int], certificates: Certificates | None = None) -> Reloader:
        """What reads the configuration again.

        Args:
            live: made of the live settings of the start.
            wall: milliseconds of the wall clock.
            certificates: read again with it.
        """
        return Reloader(self.sources, self.loaded, self.admin, self.data, live, wall, certificates)


def sources_of(file: FilePath | None, flags: Mapping[str, object]) -> Sources:
    """Where the settings of this process come from.

    Args:
        file: as named on the command line; else the one that HUBBUB_CONFIG names, else the one in the usual place, if any.
        flags: parameters of the command; those that are None or False were not given.
    """
    variables = environment()
    named = file or (FilePath(variables[CONFIG_VARIABLE]) if variables.get(CONFIG_VARIABLE) else None)
    given = {
        FLAGS[name]: Flag("--" + name.replace("_", "-"), str(value) if isinstance(value, FilePath) else value)
        for name, value in flags.items()
        if value is not None and value is not False
    }
    return Sources(
        file=default_file() if named is None else named.absolute(),
        file_may_lack=named is None,
        environment=variables,
        flags=given,
    )


def start(sources: Sources) -> Started:
    """Read the configuration of a start; first of all the data directory, since the settings of admins lie in it.

    Raises:
        ConfigError: it cannot be used.
    """
    loaded = load(sources)
    named = loaded.config.static.store.data
    data = (default_data_dir() if named is None else named).expanduser().absolute()
    admin = overrides.read(data)
    if admin:
        loaded = load(sources, admin, str(overrides.place(data)))
    return Started(sources=sources, loaded=loaded, admin=admin, data=data)


async def keep_reading(
    reloader: Reloader,
    hangups: AsyncIterator[int],
    hung_up: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Reload when a file changes and at SIGHUP, until cancelled.

    Args:
        hangups: SIGHUPs.
        hung_up: called when the terminal that the server was started in has gone: that is a SIGHUP, too, and asks it to stop.
        task_status: for ``nursery.start``: from then on no change is missed.
    """
    terminal = sys.stdin is not None and _is_terminal()

    async def at_change() -> None:
        await reloader.reload("file")

    async def at_hangup() -> None:
        async for _ in hangups:
            if terminal and not _is_terminal():
                hung_up()
            else:
                await reloader.reload("signal")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(at_hangup)
        await nursery.start(watch_files, reloader.files, at_change)
        task_status.started()


def _is_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False
