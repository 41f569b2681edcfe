"""The door: from a request head to where it is served. A hot call, an event stream, a WebSocket, or out to the cold lane.

It reads the same endpoint table as the cold lane, so that a call has one answer whichever way it came.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import attrs
import structlog

from .api import Api, Matched, problem
from .centrifugal import CentrifugalConnection, SocketSettings
from .http import HttpMachine, HttpSettings
from .http_message import Refused, Request, RequestHead, Response
from .http_route import Cold, Hot, Respond, Route, Stream, Upgrade
from .ports import Connection, Machine
from .sse import EventStream, StreamSettings

WEBSOCKET_PATH = "/connection/websocket"

_log = structlog.get_logger("hubbub.door")


def nowhere(allowed: frozenset[str]) -> Response:
    """The answer to a path or method that no endpoint has; the same in both lanes."""
    if not allowed:
        return problem(HTTPStatus.NOT_FOUND.value, "not_found", "no such path")
    allow = ("allow", ", ".join(sorted(allowed)))
    return problem(HTTPStatus.METHOD_NOT_ALLOWED.value, "method_not_allowed", "the path has other methods", allow)


@attrs.frozen(kw_only=True)
class DoorSettings:
    """Bounds of the protocols behind the door."""

    http: HttpSettings = attrs.field(factory=HttpSettings)
    socket: SocketSettings = attrs.field(factory=SocketSettings)
    stream: StreamSettings = attrs.field(factory=StreamSettings)


class Door:
    """Routes each request of the connection table.

    Args:
        api: what transports share.
        leave: takes a connection out to the cold lane, with the bytes read so far.
        settings: bounds.
    """

    def __init__(self, api: Api, leave: Callable[[Connection, bytes], None], settings: DoorSettings) -> None:
        self._api = api
        self._cold = Cold(leave)
        self._settings = settings
        self._upgrade = Upgrade(self._make_socket)

    def machine(self, conn: Connection) -> Machine:
        """The machine of a connection that was just accepted."""
        return HttpMachine(conn, self._route, self._settings.http, self._report)

    def _route(self, head: RequestHead, machine: HttpMachine) -> Route:
        path = head.path
        if path == WEBSOCKET_PATH:
            return self._upgrade
        found = self._api.routes.match(head.method, path)
        if not isinstance(found, Matched):
            return self._lost(head, found) if found or path.startswith("/api/") else self._cold
        if found.route.stream and head.method == "GET":
            return Stream(lambda conn, head: self._make_stream(conn, head, found))
        if found.route.stream:
            return self._lost(head, frozenset(found.route.methods))
        return Hot(lambda request, respond: self._dispatch(found, request, respond), found.route.max_body_bytes)

    @staticmethod
    def _lost(head: RequestHead, allowed: frozenset[str]) -> Route:
        """Nobody serves this. Without a body the connection goes on; a body is nothing that anybody wants to read."""
        if head.has_body:
            raise Refused(nowhere(allowed))
        return Hot(lambda _, respond: respond(nowhere(allowed)))

    def _dispatch(self, found: Matched, request: Request, respond: Respond) -> None:
        self._api.dispatch(found, request, respond)

    def _make_socket(self, conn: Connection, head: RequestHead) -> Machine:
        return CentrifugalConnection(conn, head, self._api, self._settings.socket)

    def _make_stream(self, conn: Connection, head: RequestHead, found: Matched) -> Machine:
        return EventStream(conn, head, self._api, found.params["id"], self._settings.stream)

    @staticmethod
    def _report(error: Exception) -> None:
        _log.error("request failed", error=repr(error), exc_info=error)
