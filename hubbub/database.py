"""The database of a server, for commands that do not talk to the server: named by a URL, or the embedded one of a data directory.

An embedded Postgres is started for as long as the command needs it. While a server runs on it, that server's is used where the
command only looks or copies; a command that changes something is refused then.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import attrs
import click

if TYPE_CHECKING:
    from .storage.driver import Connect
    from .storage.embedded import EmbeddedSettings
    from .transport.serve import ServeSettings

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
_Command = TypeVar("_Command", bound=Callable[..., object])


class UpkeepError(Exception):
    """It cannot be done; the message says why."""


class ServerRuns(UpkeepError):
    """A server works on the database, and what is asked for cannot be done under it."""


@attrs.frozen(kw_only=True)
class Place:
    """Which database, as a server with the same configuration would use it.

    Attributes:
        data: the data directory, absolute.
        database_url: the database, where it is not the embedded one. Not to be shown.
        embedded: how the embedded one is run.
        serve: how a server would listen.
    """

    data: Path
    database_url: str | None = attrs.field(repr=False)
    embedded: EmbeddedSettings
    serve: ServeSettings

    def host(self) -> str | None:
        """Where a database of a URL is, as the URL says: a host with its port, or several; None for the embedded one."""
        if self.database_url is None:
            return None
        parts = urlsplit(self.database_url)
        asked = dict(parse_qsl(parts.query))
        host = parts.netloc.rpartition("@")[2] or asked.get("host", "localhost")
        return f"{host}:{asked['port']}" if "port" in asked else host


@attrs.frozen
class Reached:
    """A database that can be connected to now.

    Attributes:
        where: for `Upkeep.open`.
        bin_dir: the programs of its Postgres, as far as they are known.
        major: the major version of an embedded Postgres.
        server_pid: the server that runs on this data directory, or None.
    """

    where: Connect
    bin_dir: Path | None = None
    major: int | None = None
    server_pid: int | None = None


def place_options(command: _Command) -> _Command:
    """The options that name a database, as parameters of `place_of`."""
    for option in reversed(
        (
            click.option(
                "--config",
                "config_file",
                type=click.Path(dir_okay=False, path_type=Path),
                help="The server's configuration.  [default: as `hubbub serve`]",
            ),
            click.option(
                "--data",
                type=click.Path(file_okay=False, path_type=Path),
                help="Data directory.  [default: as `hubbub serve`]",
            ),
            click.option(
                "--database-url",
                help="The database, where it is not the embedded one. HUBBUB_STORE__DATABASE_URL is better: others can see a "
                "command line.",
            ),
        )
    ):
        command = option(command)
    return command


def place_of(config_file: Path | None, **flags: object) -> Place:
    """What the options and the configuration name.

    Args:
        config_file: as `hubbub serve` takes it.
        flags: of `hubbub serve`, by the names of its parameters.

    Raises:
        click.UsageError: an option cannot be used.
        click.ClickException: the configuration cannot.
    """
    from .config.errors import ConfigError
    from .config.startup import sources_of, start

    try:
        started = start(sources_of(config_file, flags))
    except ConfigError as error:
        text = "\n".join(error.lines())
        if all(problem.origin.kind == "flag" for problem in error.problems):
            raise click.UsageError(text) from None
        raise click.ClickException(f"the configuration cannot be used:\n{text}") from None
    return Place(
        data=started.data,
        database_url=started.database_url(),
        embedded=started.embedded(),
        serve=started.config.static.serve,
    )


@asynccontextmanager
async def reach(place: Place, *, alone: bool, make: bool = False) -> AsyncIterator[Reached]:
    """See to it that the database can be connected to, for the time of the block.

    Args:
        place: which.
        alone: refuse while a server runs on the data directory. (Under a URL it is `Upkeep.take_lock` that refuses.)
        make: make the embedded database when there is none yet.

    Raises:
        UpkeepError: there is none, or a server is in the way.
        EmbeddedError: the embedded Postgres does not start.
    """
    from .storage.embedded import DataDirectoryInUse, cluster_major, connect_args_of, open_embedded

    if place.database_url is not None:
        yield Reached(place.database_url)
        return
    if not make and cluster_major(place.data) is None:
        raise UpkeepError(
            f"there is no database in {place.data} yet: `hubbub serve` makes one, --data names another place"
        )
    async with AsyncExitStack() as stack:
        try:
            postgres = await stack.enter_async_context(open_embedded(place.embedded))
        except DataDirectoryInUse as error:
            if alone:
                raise ServerRuns(
                    f"a server (pid {error.holder_pid or 'not known yet'}) runs on {place.data}: stop it first"
                ) from error
            major = cluster_major(place.data)
            reached = Reached({**connect_args_of(place.data)}, major=major, server_pid=error.holder_pid)
        else:
            reached = Reached({**postgres.connect_args}, bin_dir=postgres.bin_dir)
        yield reached


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn how a command ended into an exit code and, where it failed, one line on standard error."""
    from .engine import StoreError
    from .storage.embedded import EmbeddedError

    code, texts = 0, list[str]()
    try:
        yield
    except* KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except* (UpkeepError, EmbeddedError, StoreError, OSError) as group:
        code = EXIT_FAILED
        texts.extend(str(error) for error in _leaves(group))
    if texts:
        click.echo("hubbub: " + "\n".join(texts), err=True)
    if code:
        sys.exit(code)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
