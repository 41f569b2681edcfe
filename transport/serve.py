"""Serve an engine on one port: the connection table, the door, the cold lane, and the drain.

Drain (design: SIGTERM): readiness says no; no new posts, streams and WebSockets; what was accepted is committed and answered;
every connection is closed with a code that lets its client come back; then the caller closes the engine and, last, the store.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio
from attrs.validators import ge, gt, le, min_len

from ..engine import Engine
from ..engine.log import get_logger
from .acceptor import MakeMachine
from .admission import Admission
from .api import Api
from .auditor import Auditor
from .auth import Authenticator, TokenResolver
from .centrifugal import CentrifugalConnection
from .centrifugal_wire import Disconnect
from .certificates import Certificates, certificates_of
from .cold_settings import ColdSettings
from .config_calls import Configuration
from .door import Door, DoorSettings
from .endpoints import ROUTES
from .http import HttpMachine
from .http_discard import Discarding
from .identity.accounts import Accounts
from .identity.people import AccountPeople
from .identity.setup import Setup
from .jwt import JwtAuthority, first_of
from .limit_calls import profiles_of
from .live import Live, LiveSettings
from .lobby import keep_opening_lobby, lets_people_in, open_lobby
from .loop_lag import LoopLag
from .operator import Operator, OperatorKey
from .people import People
from .ports import Connection
from .router import Router
from .sse import EventStream
from .table import Table, TableSettings
from .tls_connection import machine_of
from .tls_door import TlsDoor
from .tls_settings import TlsSettings
from .watch import Watch

if TYPE_CHECKING:
    from .cold import ColdLane

_log = get_logger("hubbub.transport.serve")

_FLUSH_S = 2.0


class AddressInUse(Exception):
    """The port is taken, or the address is not this machine's; the message says what to do."""


@attrs.frozen(kw_only=True)
class ServeSettings:
    """How a server listens.

    Attributes:
        host: address to listen on.
        port: 0 takes a free one.
        live: what may change while it runs. Where guests or accounts are let in, the public conversation `lobby` exists.
        notice_s: time between being told to stop and the drain: readiness says 503 while everything is still served, so that
            load balancers look away first.
        drain_s: time for posts in flight to be committed and answers to be taken when the server stops.
        backlog: connections the kernel keeps for us between two turns.
    """

    host: str = attrs.field(default="127.0.0.1", validator=min_len(1))
    port: int = attrs.field(default=8000, validator=(ge(0), le(65_535)))
    tls: TlsSettings = attrs.field(factory=TlsSettings)
    live: LiveSettings = attrs.field(factory=LiveSettings, metadata={"internal": True})
    notice_s: float = attrs.field(default=0.0, validator=ge(0))
    drain_s: float = attrs.field(default=15.0, validator=gt(0))
    backlog: int = attrs.field(default=4096, validator=gt(0))
    door: DoorSettings = attrs.field(factory=DoorSettings)
    table: TableSettings = attrs.field(factory=TableSettings)
    cold: ColdSettings = attrs.field(factory=ColdSettings)


@attrs.frozen
class Serving:
    """A server that is ready.

    Attributes:
        url: where it answers.
        stop: set it to drain and end; `serve` returns when that is done.
        setup_url: the one-time link that makes the first administrator; None where there is one. A secret: for the operator.
    """

    url: str
    stop: trio.Event
    setup_url: str | None = attrs.field(default=None, repr=False)


def listen(settings: ServeSettings) -> socket.socket:
    """Open the listening socket.

    Raises:
        AddressInUse: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((settings.host, settings.port))
        sock.listen(settings.backlog)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        where = f"{settings.host}:{settings.port}"
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"{where} is taken by another program: choose another --port, or 0 for a free one"
            ) from error
        raise AddressInUse(f"cannot listen on {where}: {error.strerror}") from error
    return sock


def url_of(sock: socket.socket, *, secure: bool = False) -> str:
    """The URL of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(
    engine: Engine,
    settings: ServeSettings | None = None,
    *,
    operator: OperatorKey | None = None,
    authenticate: TokenResolver | None = None,
    live: Live | None = None,
    configuration: Configuration | None = None,
    people: People | None = None,
    certificates: Certificates | None = None,
    task_status: trio.TaskStatus[Serving] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `Serving.stop` is set (then drain) or until cancelled (then close at once).

    Args:
        engine: an open engine; it stays open, and is told to take no more commands when the drain begins.
        settings: where and how.
        operator: whose token opens `/metrics` and `/api/v1/admin`, besides admins.
        authenticate: knows tokens of the embedding program's own, besides the session tokens of guests.
        live: what may change while it serves; made from ``settings.live`` when left out.
        configuration: who reads the settings, for health and for admins; left out where a program passes them.
        people: who has an id, of an embedding program whose users are its own: whom others may make members, and write to.
        certificates: for whom reads them again while it serves; made from ``settings.tls`` when left out.
        task_status: for ``nursery.start``: gives the `Serving` when the port answers.

    Raises:
        AddressInUse: the port cannot be had.
        CertificateError: the certificate cannot be used.
        StoreUnavailable: the store cannot be reached; where it goes away later, what is known goes on.
    """
    settings = settings or ServeSettings()
    live = live or Live(settings.live)
    certificates = certificates or certificates_of(settings.tls)
    with listen(settings) as sock:
        has_admin = await engine.store.accounts.has_admin()
        if has_admin or lets_people_in(live.current):
            await open_lobby(engine)
        admission = Admission(live)
        admission.limits.load(profiles_of(await engine.store.limits.profiles()))
        setup = Setup(needed=not has_admin)
        given = _Given(operator, authenticate, live, configuration, people, certificates)
        parts = _assemble(engine, settings, given, admission, setup)
        url = url_of(sock, secure=certificates is not None)
        serving = Serving(url, trio.Event(), setup.link(url))
        async with trio.open_nursery() as nursery:
            await nursery.start(parts.table.run)
            await nursery.start(parts.cold.run)
            nursery.start_soon(parts.lag.run)
            nursery.start_soon(parts.api.auth.keep)
            nursery.start_soon(parts.auditor.run)
            parts.table.listen(sock, parts.make_machine)
            live.subscribe(partial(_welcome, engine, parts.api.start_soon))
            task_status.started(serving)
            await serving.stop.wait()
            await _leave(engine, settings, parts)
            nursery.cancel_scope.cancel()


@attrs.frozen
class _Given:
    """What the embedding program brings; see `serve`."""

    operator: OperatorKey | None
    authenticate: TokenResolver | None
    live: Live
    configuration: Configuration | None
    people: People | None
    certificates: Certificates | None


@attrs.frozen
class _Parts:
    """What a server is made of. `make_machine` is for the sockets of its port."""

    table: Table
    cold: ColdLane
    api: Api
    auditor: Auditor
    lag: LoopLag
    make_machine: MakeMachine


def _assemble(engine: Engine, settings: ServeSettings, given: _Given, admission: Admission, setup: Setup) -> _Parts:
    """Make the parts of a server and join them; nothing of it runs yet."""
    from .cold import ColdLane

    certificates = given.certificates
    table = Table(settings.table if certificates is None else _wordless(settings.table), gate=admission)
    lag = LoopLag()
    operator = Operator(key=given.operator, table=table.statistics, cold=lambda: cold.statistics(), lag=lag)  # noqa: PLW0108  made below
    api, auditor = _api(engine, given, operator, admission, setup, table.start_soon)
    router = Router(api, settings.door.socket, settings.door.stream)
    cold = ColdLane(router, table.adopt, settings.cold)
    door = Door(router, cold.leave, settings.door.http)
    make_machine: MakeMachine = door.machine
    if certificates is not None:
        make_machine = TlsDoor(certificates, door.machine, cold.leave, settings.tls.handshake_s).machine
    return _Parts(table, cold, api, auditor, lag, make_machine)


def _api(
    engine: Engine,
    given: _Given,
    operator: Operator,
    admission: Admission,
    setup: Setup,
    start_soon: Callable[[Callable[[], Awaitable[None]]], None],
) -> tuple[Api, Auditor]:
    """What transports share, and who keeps its audit log."""
    live = given.live
    jwt = JwtAuthority(live.current.jwt, engine.now_ms)
    live.subscribe(lambda replaced: jwt.replace(replaced.jwt))
    resolve = first_of(given.authenticate, jwt.resolve_jwt)
    auth = Authenticator(engine.store, engine.now_ms, start_soon, resolve, lambda: live.current.identity)
    accounts = Accounts.over(engine, auth, start_soon, lambda: live.current.identity, setup)
    auditor = Auditor(
        engine.store.audit, lambda: engine.store.health().ready, engine.now_ms, lambda: live.current.audit
    )
    watch = Watch(engine.now_ms, auditor)
    if given.configuration is not None:
        given.configuration.tell(watch.reloaded)
    api = Api(
        engine,
        auth,
        ROUTES,
        live,
        start_soon,
        operator=operator,
        jwt=jwt,
        watch=watch,
        accounts=accounts,
        configuration=given.configuration,
        admission=admission,
        people=given.people or AccountPeople(engine.store.accounts),
    )
    return api, auditor


async def _leave(engine: Engine, settings: ServeSettings, parts: _Parts) -> None:
    """The end of a server that was told to stop."""
    parts.api.leaving.announced = True
    if settings.notice_s:
        _log.info("leaving", notice_s=settings.notice_s)
        await trio.sleep(settings.notice_s)
    await drain(engine, parts.table, parts.cold.drain, settings.drain_s, parts.cold.answers)
    await parts.auditor.flush(_FLUSH_S)


def _wordless(table: TableSettings) -> TableSettings:
    """Who is refused for want of room could not read plain words, and a handshake is work: such sockets are closed at once."""
    return attrs.evolve(table, refusal=b"", max_refusals=0)


def _welcome(
    engine: Engine, start_soon: Callable[[Callable[[], Awaitable[None]]], None], settings: LiveSettings
) -> None:
    """Have a lobby for those who are let in from now on."""
    if lets_people_in(settings):
        start_soon(partial(keep_opening_lobby, engine))


async def drain(
    engine: Engine,
    table: Table,
    drain_cold: Callable[[float], Awaitable[None]],
    drain_s: float,
    answers: Callable[[], Iterable[Connection]] = tuple,
) -> None:
    """Take nothing new, finish what was accepted, and part from every connection with a code that lets its client come back.

    Until what was accepted is finished the port answers: readiness with 503, and who comes is told to come again.

    Args:
        engine, table: they stay open; closing them is what comes next.
        drain_cold: does the same for the cold lane, within as many seconds as it is given.
        drain_s: bound of all of it, seconds.
        answers: what machines of the table write to in the cold lane.
    """
    _log.info("draining", connections=len(table.connections()))
    deadline = trio.current_time() + drain_s
    engine.drain(drain_s)
    with trio.move_on_at(deadline):
        async with trio.open_nursery() as nursery:
            with trio.move_on_at(deadline - min(3.0, drain_s / 4)):  # saying good-bye takes time, too
                await engine.settled()
            table.stop_accepting()
            nursery.start_soon(drain_cold, max(0.0, deadline - trio.current_time()))
            for conn in (*table.connections(), *answers()):
                match machine_of(conn):
                    case CentrifugalConnection() as peer:
                        peer.disconnect(Disconnect.SHUTDOWN)
                    case EventStream() as stream:
                        stream.end("shutdown")
                    case HttpMachine() as machine:
                        machine.drain()
                    case Discarding():
                        pass  # it has been told, and ends within moments
                    case _:
                        conn.close()
            while table.connections():  # noqa: ASYNC110  once, at the end of the process, for a moment
                await trio.sleep(0.02)
