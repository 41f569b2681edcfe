"""The router: from a request head to what serves it, the same for the connection table and for the cold lane.

Both lanes read one endpoint table through it, so that a call has one answer whichever way it came.
"""

from __future__ import annotations

from http import HTTPStatus

import attrs

from .answers import problem
from .api import Api
from .centrifugal_http import event_source, http_stream
from .centrifugal_settings import SocketSettings
from .centrifugal_websocket import WebSocketConnection
from .http_message import Refused, RequestHead, Response
from .http_route import Hot, Posted, Served, Stream, Upgrade
from .routes import Matched
from .sse import EventStream, StreamSettings

WEBSOCKET_PATH = "/connection/websocket"
EVENT_SOURCE_PATH = "/connection/sse"
HTTP_STREAM_PATH = "/connection/http_stream"
_STREAM_METHODS = {EVENT_SOURCE_PATH: "GET", HTTP_STREAM_PATH: "POST"}
_KNOWN_PATHS = 4096
_KNOWN_CHARS = 256


@attrs.frozen
class Router:
    """Routes each request.

    Attributes:
        api: what transports share.
        socket, stream: bounds and pace of what a connection may turn into.
    """

    api: Api
    socket: SocketSettings = attrs.field(factory=SocketSettings)
    stream: StreamSettings = attrs.field(factory=StreamSettings)
    _known: dict[tuple[str, str], Hot] = attrs.field(factory=dict, init=False, repr=False)

    def route(self, head: RequestHead) -> Served | None:
        """Where a request is served; None for a page.

        Raises:
            Refused: nobody serves it, and it has a body that nobody wants to read.
        """
        known = self._known.get((head.method, head.path))
        if known is not None:
            return known
        if head.path == WEBSOCKET_PATH:
            return Upgrade(lambda conn, head: WebSocketConnection(conn, head, self.api, self.socket))
        if head.path in _STREAM_METHODS:
            return self._connection(head, _STREAM_METHODS[head.path])
        found = self.api.match(head.method, head.path)
        if isinstance(found, frozenset) and found and (granted := self._preflight(head, found)):
            return granted
        if not isinstance(found, Matched):
            return self._lost(head, found) if found or head.path.startswith("/api/") else None
        if not found.route.stream:
            return self._remember(head, found)
        if head.method != "GET":
            return self._lost(head, frozenset(found.route.methods))
        name = found.params["id"]
        return Stream(lambda conn, head: EventStream(conn, head, self.api, name, self.stream))

    def _connection(self, head: RequestHead, method: str) -> Served:
        """A connection of the Centrifugal protocol over plain HTTP."""
        if head.method != method:
            allowed = frozenset({method})
            return self._preflight(head, allowed) or self._lost(head, allowed)
        if method == "GET":
            return Stream(lambda conn, head: event_source(conn, head, self.api, self.socket))
        return Posted(
            lambda conn, request: http_stream(conn, request, self.api, self.socket), self.socket.max_frame_bytes
        )

    def _preflight(self, head: RequestHead, allowed: frozenset[str]) -> Hot | None:
        """The answer to a browser that asks what a page of another origin may send."""
        if head.method != "OPTIONS" or head.has_body:
            return None
        granted = self.api.manners.preflight(head, allowed)
        return None if granted is None else Hot(lambda _, respond: respond(granted))

    def _lost(self, head: RequestHead, allowed: frozenset[str]) -> Served:
        """Nobody serves this. Without a body the connection goes on; a body is nothing that anybody wants to read."""
        answer = nowhere(allowed)
        if head.has_body:
            raise Refused(answer)
        self.api.watch.turned_away(head, answer)
        return Hot(lambda _, respond: respond(answer))

    def _remember(self, head: RequestHead, found: Matched) -> Hot:
        """Routes are looked up once for each path that is asked again and again (3 us became 0.2), within bounds."""
        hot = Hot(lambda request, respond: self.api.dispatch(found, request, respond), found.route.max_body_bytes)
        if len(head.path) <= _KNOWN_CHARS:
            if len(self._known) >= _KNOWN_PATHS:
                self._known.clear()
            self._known[head.method, head.path] = hot
        return hot


def nowhere(allowed: frozenset[str]) -> Response:
    """The answer to a path or method that no endpoint has; the same in both lanes."""
    if not allowed:
        return problem(HTTPStatus.NOT_FOUND.value, "not_found", "no such path")
    allow = ("allow", ", ".join(sorted(allowed)))
    return problem(HTTPStatus.METHOD_NOT_ALLOWED.value, "method_not_allowed", "the path has other methods", allow)
