"""Hypercorn, as far as we use it: one accepted stream served over HTTP/1.1, or HTTP/2 (`cold_http2`), by an ASGI application.

Hypercorn has no public way to be handed one connection, so parts of its inside are used, all of them in this file. That is
why it is pinned to 0.18; a contract test names what a new version has changed.

Other than Hypercorn's own server this one never becomes HTTP/2 (an `Upgrade: h2c`, which some clients send always, is
ignored, `PRI` is a request like any other), names no server and no date, and logs no text that a peer has sent.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.logging import Logger
from hypercorn.protocol.events import Request
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import LifespanTimeoutError, wrap_app

from ..engine.log import get_logger
from .certificates import HTTP2
from .cold_connection import Address, ColdServer
from .cold_http2 import Http2Server
from .cold_stream import ColdStream
from .http_message import SAFETY, named, problem
from .manners import Manners
from .request_id import fresh

_log = get_logger("hubbub.transport.cold_server")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


_HEARD = frozenset({h11.DONE, h11.MUST_CLOSE, h11.MIGHT_SWITCH_PROTOCOL})  # type: ignore[attr-defined]
_ANSWERING = frozenset({h11.SEND_RESPONSE, h11.SEND_BODY})


class Hypercorn:
    """Serves streams; what its connections have in common.

    Args:
        idle_s: how long a connection may wait for a whole request head.
        max_head_bytes: longer heads are refused.
        lifespan_s: how long the application may take to start, and to end.
        stall_s: how long a client may take no byte of an answer of HTTP/2.
        manners: what answers carry besides their content.
    """

    def __init__(
        self, *, idle_s: float, max_head_bytes: int, lifespan_s: float, stall_s: float, manners: Manners
    ) -> None:
        config = Config()
        config.accesslog = config.errorlog = None
        config.logger_class = _DiscreetLogger
        config.include_date_header = config.include_server_header = False
        config.keep_alive_timeout = idle_s
        config.h11_max_incomplete_size = max_head_bytes
        config.startup_timeout = config.shutdown_timeout = lifespan_s
        self._config = config
        self._context = WorkerContext(None)
        self._stall_s = stall_s
        self._manners = manners

    async def serve(self, app: AsgiApp, stream: ColdStream) -> None:
        """Serve one connection to its end; the stream has been let go of when this returns or raises."""
        state = ConnectionState({})
        server: ColdServer
        if stream.tls is not None and stream.tls.alpn == HTTP2:
            server = second = Http2Server(_wrap(app), self._config, self._context, state, stream)  # type: ignore[arg-type]
            second.stall_s = self._stall_s
        else:
            server = first = _Http1Server(_wrap(app), self._config, self._context, state, stream)  # type: ignore[arg-type]
            first.manners = self._manners
        await server.run()

    async def stop_keeping_alive(self) -> None:
        """Close idle connections now and the others after their present answer."""
        await self._context.terminated.set()

    async def live(self, app: AsgiApp, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start an application, and when cancelled end it, both within the time that the settings allow."""
        lifespan = Lifespan(_wrap(app), self._config, {})
        scope = trio.CancelScope(shield=True)

        async def handle() -> None:
            with scope:
                await lifespan.handle_lifespan()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(handle)
            try:
                await lifespan.wait_for_startup()
                task_status.started()
                await trio.sleep_forever()
            finally:
                if not lifespan.shutdown.is_set():
                    with trio.CancelScope(shield=True):
                        await _end(lifespan)
                scope.cancel()


class _Http1Server(ColdServer):
    """HTTP/1.1, with answers for peers that have ended their side."""

    protocol: _Http1Protocol
    manners: Manners

    def make_protocol(self, task_group: TaskGroup, client: Address, server: Address) -> _Http1Protocol:
        protocol = _Http1Protocol(
            self.app,
            self.config,
            self.context,
            task_group,
            ConnectionState(self.state),
            self.stream.tls is not None,
            client,
            server,
            self.protocol_send,
        )
        protocol.manners = self.manners
        self.stream.unused = self._unused
        return protocol

    def _unused(self) -> bytes:
        return self.protocol.connection.trailing_data[0]

    async def _read_data(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self.stream.receive_some(MAX_RECV):
                await self.protocol.handle(RawData(bytes(data)))
            connection = self.protocol.connection
            if connection.their_state in _HEARD and connection.our_state in _ANSWERING:
                return  # the answer that is owed is still given
            await self.protocol.handle(RawData(b""))
        await self.protocol.handle(Closed())

    async def protocol_send(self, event: Event) -> None:
        if self.input_ended and event == Updated(idle=True):
            event = Closed()
        await super().protocol_send(event)


class _Parser(h11.Connection):
    """h11, deaf behind the last request of a connection: more bytes there are no reason to keep its answer back."""

    def receive_data(self, data: bytes) -> None:
        if self.their_state is not h11.MUST_CLOSE:
            super().receive_data(data)

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        return h11.NEED_DATA if self.their_state is h11.MUST_CLOSE else super().next_event()


class _Http1Protocol(H11Protocol):
    connection: _Parser
    manners: Manners

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection = _Parser(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)

    async def _send_error_response(self, status_code: int) -> None:
        """As Hypercorn's, with a problem document: h11 could not read the request."""
        name = fresh()
        detail = "The request head is too long." if status_code == 431 else "The request is malformed."
        response = named(problem(status_code, detail), name)
        headers = [*response.headers, ("content-length", str(len(response.body))), ("connection", "close"), *SAFETY]
        fields = [(key.encode(), value.encode()) for key, value in headers]
        fields += self.manners.headers(None, name)
        await self._send_h11_event(h11.Response(status_code=status_code, headers=fields))
        await self._send_h11_event(h11.Data(data=response.body))
        await self._send_h11_event(h11.EndOfMessage())

    async def _check_protocol(self, event: h11.Request) -> None:
        """Stay with HTTP/1.1, whatever the request offers."""

    async def _create_stream(self, request: h11.Request) -> None:
        """As Hypercorn's, but a WebSocket handshake is a request like any other: the table answers it."""
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii"),
                raw_path=request.target,
                state=self.connection_state,
            )
        )


class _DiscreetLogger(Logger):
    """Takes what Hypercorn reports. Its texts name events only; an exception's text could quote a request."""

    async def exception(self, message: str, *args: object, **kwargs: object) -> None:
        kind, _, trace = sys.exc_info()
        places = "".join(traceback.format_tb(trace))
        _log.error("cold.server_failed", what=message, error=kind.__name__ if kind else None, traceback=places)

    async def critical(self, message: str, *args: object, **kwargs: object) -> None:
        _log.error("cold.server", what=message)

    async def error(self, message: str, *args: object, **kwargs: object) -> None:
        _log.error("cold.server", what=message)

    async def warning(self, message: str, *args: object, **kwargs: object) -> None:
        _log.warning("cold.server", what=message)


async def _end(lifespan: Lifespan) -> None:
    try:
        await lifespan.wait_for_shutdown()
    except LifespanTimeoutError:
        _log.warning("cold.application_did_not_end")


def _wrap(app: AsgiApp) -> AppWrapper:
    return wrap_app(app, 0, "asgi")  # type: ignore[arg-type]
