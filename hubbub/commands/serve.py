"""The command `hubbub serve`, where a server is put together: configuration, store, engine, transport."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import parse_qs, urlsplit

import click
import trio

from .. import collector
from ..config.errors import ConfigError
from ..config.startup import Started, keep_reading, sources_of, start
from ..config.tree import OtelSettings
from ..engine import Engine, StoreError, StoreFenced
from ..logs import FORMATS, configure_logs
from ..operator_token import TokenFileError, keep
from ..storage import PostgresStore
from ..storage.embedded import EmbeddedError, EmbeddedPostgres, open_embedded
from ..transport.certificates import CertificateError, certificates_of
from ..transport.live import Live
from ..transport.operator import OperatorKey
from ..transport.serve import AddressInUse, ServeSettings, Serving, serve
from ..transport.version import version as program_version
from .exits import EXIT_FAILED, EXIT_INTERRUPTED, leaves

if TYPE_CHECKING:
    from ..tracing import Tracing

_log: Final = logging.getLogger("hubbub.serve")


@click.command("serve")
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration (TOML).  [default: $HUBBUB_CONFIG, else ./hubbub.toml, as root /etc/hubbub/hubbub.toml, if it is there]",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [default: 8000]")
@click.option(
    "--tls-cert",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Speak TLS with this certificate chain (PEM); read again when it changes.",
)
@click.option(
    "--tls-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The certificate's private key (PEM, not encrypted).",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data directory: embedded Postgres, operator's token.  [default: ./hubbub-data, as root /var/lib/hubbub]",
)
@click.option("--database-url", help="Use this Postgres (13 or newer): postgresql://...")
@click.option("--guests", is_flag=True, default=None, help="Let anyone who reaches the port talk in the public lobby.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Least that is logged.  [default: warning]",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    help="Log lines for people, or one JSON object a line.  [default: console]",
)
def serve_command(config_file: Path | None, **flags: object) -> None:
    """Serve rooms on one port: WebSocket, event streams, REST and a page to talk in.

    Prints one line with the URL when it is ready. Ctrl-C or SIGTERM drains: no new posts, what was accepted is committed,
    clients are told to come back; a second one quits at once. SIGHUP, or a change of the file, reads the configuration again.
    """
    # It means to read again: no reason to die before, or after, somebody listens for it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        started = start(sources_of(config_file, flags))
    except ConfigError as error:
        if all(problem.origin.kind == "flag" for problem in error.problems):
            raise click.UsageError("\n".join(error.lines())) from None
        click.echo("hubbub: the configuration cannot be used:\n" + "\n".join(error.lines()), err=True)
        sys.exit(EXIT_FAILED)
    configure_logs(started.config.static.log.level, started.config.static.log.format)
    for warning in started.loaded.warnings:
        _log.warning("%s", warning)
    tracing = _open_tracing(started.config.static.otel)
    failures: list[str] = []
    try:
        trio.run(_serve, started, tracing)
    except* (AddressInUse, CertificateError, EmbeddedError, StoreError) as group:
        failures += [str(error) for error in leaves(group)]
    finally:
        if tracing is not None:
            tracing.close()
    if failures:
        click.echo("hubbub: " + "\n".join(failures), err=True)
        sys.exit(EXIT_FAILED)
    _log.info("stopped")


class _Stopping:
    """What the first and the second signal do."""

    def __init__(self, abandon_start: trio.CancelScope) -> None:
        self._abandon_start = abandon_start
        self.serving: Serving | None = None
        self.postgres: EmbeddedPostgres | None = None

    async def watch(self, signals: AsyncIterator[int]) -> None:
        """Drain at the first signal, quit at the second."""
        asked = False
        async for _ in signals:
            if asked:
                self._quit()
            asked = True
            if self.serving is not None:
                click.echo("stopping: finishing what was accepted (again to quit at once)", err=True)
            self.drain()

    def drain(self) -> None:
        """Finish what was accepted and stop; before the server is ready: give up starting."""
        if self.serving is None:
            self._abandon_start.cancel()
        else:
            self.serving.stop.set()

    def _quit(self) -> NoReturn:
        if self.postgres is not None:
            with contextlib.suppress(OSError):
                os.kill(self.postgres.pid, signal.SIGQUIT)  # its immediate shutdown; it recovers at the next start
        os._exit(EXIT_INTERRUPTED)


def _open_tracing(settings: OtelSettings) -> Tracing | None:
    """What sends traces, if that is asked for; ends the program when it cannot be loaded."""
    if settings.endpoint is None:
        return None
    try:
        from ..tracing import Tracing

        return Tracing.to(settings.endpoint, settings.sample_ratio)
    except ImportError as error:
        click.echo(
            f'hubbub: otel.endpoint is set, and {error.name} is not installed: pip install "hubbub[otel]"', err=True
        )
        sys.exit(EXIT_FAILED)


async def _serve(started: Started, tracing: Tracing | None) -> None:
    settings = started.serve_settings()
    tracer = None if tracing is None else tracing.tracer
    live = Live(settings.live)
    certificates = certificates_of(settings.tls)
    with (
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
        trio.open_signal_receiver(signal.SIGHUP) as hangups,
    ):
        async with trio.open_nursery() as nursery:
            stopping = _Stopping(nursery.cancel_scope)
            nursery.start_soon(stopping.watch, signals)
            async with (
                _open_store(started, stopping) as store,
                Engine.open(store=store, settings=started.config.static.engine, tracer=tracer) as engine,
                trio.open_nursery() as servers,
            ):
                reloader = started.reloader(live, engine.now_ms, certificates)
                await nursery.start(keep_reading, reloader, hangups, stopping.drain)
                operator = _operator_key(started.data)
                start_serving = partial(
                    serve,
                    engine,
                    settings,
                    operator=operator,
                    live=live,
                    configuration=reloader,
                    certificates=certificates,
                )
                stopping.serving = await servers.start(start_serving)
                nursery.start_soon(_stop_when_fenced, store, stopping.serving)
                collector.settle()
                _log.info("listening on %s", stopping.serving.url)
                click.echo(f"hubbub {program_version()} ready at {stopping.serving.url}{_hint(settings)}")
                if stopping.serving.setup_url is not None:
                    click.echo(f"make the first administrator, once: {stopping.serving.setup_url}")
            nursery.cancel_scope.cancel()
            if store.fenced.is_set():
                raise StoreFenced("another server has taken over the database: this one has stopped")


def _operator_key(data: Path) -> OperatorKey | None:
    """The operator's key from the data directory. A server that cannot keep one runs without an operator."""
    try:
        return OperatorKey.of(keep(data))
    except TokenFileError as error:
        _log.warning("%s: there is no /metrics and no /api/v1/admin", error)
        return None


async def _stop_when_fenced(store: PostgresStore, serving: Serving) -> None:
    await store.fenced.wait()
    serving.stop.set()


def _hint(settings: ServeSettings) -> str:
    return " (guests welcome in the lobby)" if settings.live.access.guests else " (accounts only)"


@asynccontextmanager
async def _open_store(started: Started, stopping: _Stopping) -> AsyncIterator[PostgresStore]:
    database_url, writer = started.database_url(), started.config.static.writer
    if database_url is not None:
        async with PostgresStore.open(database_url, writer) as store:
            _log.info("store: Postgres at %s", _host_of(database_url))
            yield store
        return
    opened: list[PostgresStore] = []

    def back() -> None:
        for store in opened:
            store.hurry()

    async with open_embedded(started.embedded(), on_restart=back) as postgres:
        stopping.postgres = postgres
        async with PostgresStore.open(postgres.connect_args, writer, notice=lambda: postgres.problem) as store:
            _log.info("store: embedded Postgres in %s", started.data)
            opened.append(store)
            try:
                yield store
            finally:
                postgres.stop_by(store.drain_by)


def _host_of(database_url: str) -> str:
    """Where a database is, without the user and password of its URL."""
    parts = urlsplit(database_url)
    return parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", ["the default host"]))
