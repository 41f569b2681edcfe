"""The Centrifugal protocol over plain HTTP, where WebSocket is blocked: an answer that does not end, and a request for each word.

`GET /connection/sse` (an event stream) and `POST /connection/http_stream` (a document a line) open a connection with their
`connect` command; what the client says later comes by `POST /emulation`, in either lane, on any connection.

Invariants: commands of one request are handled in their order, requests in the order in which they arrive; what waits because its
client says more than is carried out, or does not read, is bounded, and past the bound refused. Whoever does not know a session
cannot speak for it, and where the opening request brought a credential, each other one must bring one of the same user.

Source: transports `sse` and `http_stream` of the npm SDK `centrifuge` 5.8, which sends no header of its own with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Annotated, ClassVar

import msgspec

from ..engine import EngineError, Forbidden, InvalidCommand, NotFound, Principal, Unauthenticated
from ..engine.core import codec
from ..engine.core.errors import PayloadTooLarge, RateLimited
from ..engine.core.permissions import Access
from . import centrifugal_wire as wire
from .answers import problem, problem_of
from .api import Api
from .auth import Credential
from .call import Call, query_of
from .centrifugal import CentrifugalConnection
from .centrifugal_framing import EVENT_SOURCE, HTTP_STREAM, Framing
from .centrifugal_settings import SocketSettings
from .credentials import bearer_of, cookie_of
from .emulation import Emulated
from .http_message import Request, RequestHead, Response
from .http_route import Respond
from .limit_settings import Action
from .openapi.doc import Doc
from .ports import Connection
from .routes import Route

MAX_WAITING = 1024
"""Requests of one session whose commands may wait to be taken up."""
MAX_WAITING_BYTES = 256 * 1024
"""And how long these may be together."""
_BODY_BYTES = 3 * SocketSettings().max_frame_bytes + 4096
"""A body of /emulation holds commands as a JSON text, where a byte may take three."""
NO_SESSION = "no such session"
_TAKEN = Response(204)
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncache-control: no-store\r\n"
    b"x-accel-buffering: no\r\n%bconnection: close\r\n\r\n"
)


class HttpConnection(CentrifugalConnection):
    """A connection whose answer does not end.

    Args:
        conn: the connection.
        head: the request that opens it.
        api: what transports share.
        settings: bounds.
        opening: the first commands, one a line; the first of them connects.
    """

    framing: ClassVar[Framing]
    content_type: ClassVar[bytes]

    __slots__ = ("_batches", "_session_id", "_waiting_bytes", "by_request")

    def __init__(self, conn: Connection, head: RequestHead, api: Api, settings: SocketSettings, opening: bytes) -> None:
        self._batches = deque([opening])
        self._waiting_bytes = len(opening)
        self._session_id = ""
        self.by_request = False
        super().__init__(conn, head, api, settings, self.framing)

    @property
    def principal(self) -> Principal:
        """Who it speaks for; asked for once it is connected."""
        principal = self.session.principal
        assert principal is not None
        return principal

    def offer(self, commands: bytes) -> None:
        """Take commands of another request.

        Raises:
            NotFound: the stream has ended.
            PayloadTooLarge: they are longer than a frame.
            RateLimited: too many wait already.
        """
        if self._ended:
            raise NotFound(NO_SESSION)
        if len(commands) > (most := self.settings.max_frame_bytes):
            raise PayloadTooLarge(f"'data' is longer than {most} bytes")
        if len(self._batches) >= MAX_WAITING or self._waiting_bytes + len(commands) > MAX_WAITING_BYTES:
            raise RateLimited("too many commands of this session wait", retry_after_s=1.0)
        self._batches.append(commands)
        self._waiting_bytes += len(commands)
        self._conn.again()

    def received(self, data: bytes) -> None:
        """Input behind the request has no meaning here."""

    def _refusal(self, head: RequestHead) -> Response | None:
        first = self._batches[0].partition(b"\n")[0]
        try:
            command = wire.decode_command(first)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            command = None
        if command is None or command.connect is None or command.id <= 0:
            return problem(400, "invalid_request", "the request must bring a connect command")
        self.by_request = not command.connect.token
        return None

    def _opening(self, head: RequestHead) -> bytes:
        return _STREAM % (self.content_type, self.api.manners.lines(head))

    def _accept(self, found: Credential | None) -> None:
        super()._accept(found)
        self._conn.again()

    def connected(self, client: str, command_id: int, more: bytes) -> None:
        """Answer `connect`, and say by which names other requests reach this connection."""
        self._session_id = self.api.emulated.open(self)
        names = codec.encode_json({"session": self._session_id, "node": self.api.emulated.node})
        super().connected(client, command_id, b",%b%b" % (names[1:-1], more))

    def eof(self) -> None:
        """The reader has left."""
        super().eof()
        self._part()

    def closed(self) -> None:
        """The connection is gone."""
        super().closed()
        self._part()

    def _end(self, last_words: bytes) -> None:
        super()._end(last_words)
        self._part()

    def _part(self) -> None:
        """Be known no longer."""
        self.api.emulated.close(self._session_id)
        self._batches.clear()

    def _next_input(self) -> bool:
        if not self._batches:
            return False
        commands = self._batches.popleft()
        self._waiting_bytes -= len(commands)
        self._documents = [line for line in reversed(commands.split(b"\n")) if line]
        return True


class EventSourceConnection(HttpConnection):
    """For `EventSource`: events whose data is documents, one a line."""

    transport = "sse"
    framing = EVENT_SOURCE
    content_type = b"text/event-stream"

    __slots__ = ()

    def _refusal(self, head: RequestHead) -> Response | None:
        if b"\n" in self._batches[0].strip():  # a link or an image is a GET with the reader's cookie: it must not post
            return problem(
                400, "invalid_request", "the query holds the connect command alone; send others to /emulation"
            )
        return super()._refusal(head)


class HttpStreamConnection(HttpConnection):
    """For programs that read as they like: a document a line."""

    transport = "http_stream"
    framing = HTTP_STREAM
    content_type = b"application/x-ndjson"

    __slots__ = ()


def event_source(conn: Connection, head: RequestHead, api: Api, settings: SocketSettings) -> HttpConnection:
    """A connection opened by ``GET ?cf_connect=COMMAND``."""
    try:
        opening = query_of(head).get("cf_connect", "")
    except EngineError:
        opening = ""
    return EventSourceConnection(conn, head, api, settings, opening.encode())


def http_stream(conn: Connection, request: Request, api: Api, settings: SocketSettings) -> HttpConnection:
    """A connection opened by a POST of commands."""
    return HttpStreamConnection(conn, request.head, api, settings, request.body)


class Emulation(msgspec.Struct):
    """What a client of a stream over HTTP says."""

    session: Annotated[str, msgspec.Meta(description="As the reply to `connect` named it.")]
    data: Annotated[str, msgspec.Meta(description="Commands, one a line.")]
    node: Annotated[str, msgspec.Meta(description="As the reply to `connect` named it.")] | None = None


_decode: Callable[[bytes], Emulation] = msgspec.json.Decoder(Emulation).decode


def emulate(api: Api, call: Call, respond: Respond) -> None:
    """What the client of a stream over HTTP says. 404: there is no such session here, connect anew."""
    try:
        said = _decode(call.request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        raise InvalidCommand("an object with 'session', 'node' and 'data' is wanted") from None
    commands = said.data.encode()
    peer = api.emulated.find(said.session, said.node or "")
    if peer is None:
        raise NotFound(NO_SESSION)
    token = _token_for(peer, call.request.head)
    if token is None:
        peer.offer(commands)
        respond(_TAKEN)
        return

    def checked(found: Credential | EngineError) -> None:
        try:
            if isinstance(found, EngineError):
                raise found
            if found.principal.id != peer.principal.id:
                raise Forbidden("the session is somebody else's")
            peer.offer(commands)
        except EngineError as error:
            respond(problem_of(error))
        else:
            respond(_TAKEN)

    api.auth.check(token, checked)


def _token_for(peer: Emulated, head: RequestHead) -> str | None:
    """The credential that a request must answer for; None where the session's id is enough.

    A cookie comes without anybody's doing: it says who asks only where it also opened the connection.
    """
    bearer = bearer_of(head)
    if bearer is not None:
        return bearer
    if not peer.by_request:
        return None
    cookie = cookie_of(head)
    if cookie is None:
        raise Unauthenticated("the credential that opened the connection is needed")
    return cookie


EMULATION_ROUTES = (
    Route(
        method="POST",
        path="/emulation",
        endpoint=emulate,
        access=Access.ANYONE,
        action=Action.EMULATE,
        max_body_bytes=_BODY_BYTES,
        control=False,
        doc=Doc(
            tag="Streams",
            body=Emulation,
            status=204,
            problems=(
                "unauthenticated",
                "forbidden",
                "not_found",
                "too_large",
                "rate_limited",
                "overloaded",
                "store_unavailable",
            ),
        ),
    ),
)
