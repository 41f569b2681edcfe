"""The cold lane: connections that left the table for a page, served by Hypercorn and Quart-Trio.

Invariants:
- A connection is in one place: in the table, or here as a stream with a task, or let go of.
- Bounded: connections. When it is full, the one that has been idle longest makes room; if none is, the new one is refused.
- Once `run` is cancelled nothing waits for a peer: sockets are closed first, since Hypercorn writes where it cannot be cancelled.

Left out: what is asked and answered (`cold_calls`), Hypercorn itself (`cold_server`), the pages (`pages`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import NoReturn, cast

import attrs
import trio

from .certificates import HTTP2
from .cold_answer import AnswerConnection, AnswerSettings
from .cold_calls import ColdCalls, report
from .cold_server import AsgiApp, Hypercorn, Receive, Scope, Send
from .cold_settings import ColdSettings
from .cold_stream import ColdStream, TlsColdStream
from .connection import NOBODY
from .http_message import RequestHead, Response, problem
from .http_route import MakeMachine
from .pages import build_pages
from .ports import Connection, Gate, Machine
from .router import Router
from .tls_connection import TlsConnection, TlsMachine
from .tls_session import TlsSession

Adopt = Callable[[socket.socket, Callable[[Connection], Machine]], object]


@attrs.frozen(kw_only=True)
class ColdStatistics:
    """A look at the cold lane. The first three are now, the rest since the start.

    Attributes:
        connections: connections served here.
        max_connections: their bound.
        idle: those of them without a request.
        entered: connections taken over from the table.
        refused: connections answered with 503 because the lane was full or stopping.
        evicted: idle connections closed to make room.
        returned: connections given back to the table as event streams or WebSockets.
    """

    connections: int
    max_connections: int
    idle: int
    entered: int
    refused: int
    evicted: int
    returned: int


class ColdLane:
    """Serves connections that the table lets go.

    Args:
        router: where requests are served, as in the table.
        adopt: `Table.adopt`; a socket goes back there for a stream, and to be closed without losing the last answer.
        settings: bounds.
    """

    def __init__(self, router: Router, adopt: Adopt, settings: ColdSettings) -> None:
        self._adopt = adopt
        self._gate: Gate = router.api.admission
        self._settings = settings
        self._pages = cast(AsgiApp, build_pages(lambda: router.api.live.current.http.docs))
        self._manners = router.api.manners
        self._calls = ColdCalls(
            router.route,
            self._pages,
            self._take_back,
            self._manners,
            settings.calls,
            router.api.watch,
            AnswerSettings(stall_s=settings.stall_s),
        )
        self._hypercorn = Hypercorn(
            idle_s=settings.idle_s,
            max_head_bytes=settings.max_head_bytes,
            lifespan_s=settings.lifespan_s,
            stall_s=2 * settings.stall_s,  # later than an event stream's own, which says why it ends
            manners=self._manners,
        )
        self._streams: dict[ColdStream, str | None] = {}  # with what the gate has counted each by
        self._idle: dict[ColdStream, None] = {}  # ordered: the first has been idle longest
        self._nursery: trio.Nursery | None = None
        self._all_gone = trio.Event()
        self._entered = self._refused = self._evicted = self._returned = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Serve until cancelled; runs once. When it is cancelled every socket is closed."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._hypercorn.live, self._pages)
            async with trio.open_nursery() as connections:
                self._nursery = connections
                try:
                    task_status.started()
                    await trio.sleep_forever()
                finally:
                    self._nursery = None
                    self._cut_off()
        raise AssertionError("only cancelling ends the lane")

    def leave(self, conn: Connection, raw: bytes) -> None:
        """Take a connection out of the table and serve it here.

        Args:
            conn: nothing may be unsent.
            raw: what was read from it and not used, beginning with a request head.
        """
        if self._nursery is None or self._calls.draining or not self._make_room():
            self._refused += 1
            if not _speaks_http2(conn):
                conn.write(self._manners.encode(_full(), None, False))
            conn.close()
            return
        peer = conn.peer
        _, counted = self._gate.take_socket(
            None if peer is None else peer[0], always=True
        )  # the table counts it no longer
        stream = self._stream(conn, raw)
        self._entered += 1
        self._streams[stream] = counted
        self._nursery.start_soon(self._serve, stream)

    async def drain(self, grace_s: float) -> None:
        """Close idle connections, and the others after their present answer.

        Args:
            grace_s: what is still served then is cut off.
        """
        self._calls.draining = True
        await self._hypercorn.stop_keeping_alive()
        with trio.move_on_after(grace_s):
            while self._streams:
                await self._all_gone.wait()
        self._cut_off()

    def answers(self) -> tuple[AnswerConnection, ...]:
        """The event streams that are served here, over HTTP/2."""
        return tuple(self._calls.answers)

    def statistics(self) -> ColdStatistics:
        """Return how full the lane is and what it has done."""
        return ColdStatistics(
            connections=len(self._streams),
            max_connections=self._settings.max_connections,
            idle=len(self._idle),
            entered=self._entered,
            refused=self._refused,
            evicted=self._evicted,
            returned=self._returned,
        )

    # -- one connection

    def _stream(self, conn: Connection, raw: bytes) -> ColdStream:
        stall_s = self._settings.stall_s
        if isinstance(conn, TlsConnection):
            return TlsColdStream(conn.release(), raw, stall_s, self._dispose, conn.session)
        return ColdStream(conn.release(), raw, stall_s, self._dispose)

    async def _serve(self, stream: ColdStream) -> None:
        try:
            with stream.scope:
                await self._hypercorn.serve(partial(self._request, stream), stream)
        except* Exception as errors:  # noqa: BLE001  a bug met by one connection must not end the others
            if not stream.scope.cancel_called:  # where Hypercorn is cancelled in the midst of an answer, h11 complains
                report(errors)
        finally:
            stream.abort()
            self._forget(stream)

    async def _request(self, stream: ColdStream, scope: Scope, receive: Receive, send: Send) -> None:
        self._idle.pop(stream, None)
        stream.requests += 1
        try:
            await self._calls.serve(stream, scope, receive, send)
        finally:
            stream.requests -= 1
            if stream.gone:
                stream.scope.cancel()  # Hypercorn's reader may be waiting for room in a queue that nobody empties any more
            elif stream in self._streams and not stream.requests:
                self._idle[stream] = None

    def _make_room(self) -> bool:
        if len(self._streams) < self._settings.max_connections:
            return True
        stream = next(iter(self._idle), None)
        if stream is None:
            return False
        self._evicted += 1
        self._dispose(stream.take(), stream.tls)
        stream.scope.cancel()
        self._forget(stream)
        return True

    def _cut_off(self) -> None:
        for stream in tuple(self._streams):
            stream.abort()
            stream.scope.cancel()

    def _forget(self, stream: ColdStream) -> None:
        counted = self._streams.pop(stream, None)
        if counted is not None:
            self._gate.give_back_socket(counted)
        self._idle.pop(stream, None)
        if not self._streams:
            self._all_gone.set()
            self._all_gone = trio.Event()

    # -- back to the table

    def _take_back(self, stream: ColdStream, head: RequestHead, make: MakeMachine) -> None:
        rest = stream.unused()
        sock = stream.take()
        stream.scope.cancel()
        self._returned += 1

        def equip(conn: Connection) -> Machine:
            if isinstance(stream, TlsColdStream):
                return _equip_tls(conn, stream, lambda above: make(above, head), rest)
            machine = conn.machine = make(conn, head)
            if rest:
                machine.received(rest)
            return machine

        try:
            self._adopt(sock, equip)
        except (OSError, RuntimeError):  # the peer has gone, or the table has ended
            sock.close()

    def _dispose(self, sock: socket.socket, tls: TlsSession | None) -> None:
        """Have the table close a socket: it reads on for a while, so that no reset overtakes the answer."""

        def linger(conn: Connection) -> Machine:
            if tls is None:
                conn.close()
                return NOBODY
            machine = TlsMachine(conn, tls)
            machine.above.close()
            return machine

        try:
            self._adopt(sock, linger)
        except (OSError, RuntimeError):
            sock.close()


def _equip_tls(
    conn: Connection, stream: TlsColdStream, make: Callable[[Connection], Machine], rest: bytes
) -> TlsMachine:
    """Go on with a session in the table."""
    below = TlsMachine(conn, stream.tls)
    conn.write(stream.take_owed())
    machine = below.above.machine = make(below.above)
    if rest:
        machine.received(rest)
    if stream.tls.ended:
        below.eof()
    return below


def _speaks_http2(conn: Connection) -> bool:
    return isinstance(conn, TlsConnection) and conn.session.alpn == HTTP2


def _full() -> Response:
    return problem(503, "The server has no room for this now.", ("retry-after", "5"), code="overloaded")
