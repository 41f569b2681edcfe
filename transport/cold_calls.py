"""What is asked on a connection that Hypercorn owns, answered as the connection table would.

A request that came through ASGI becomes the same head that the door reads, is routed in the same words (`http_route`), and gets
the same answer. Pages are the only thing served here alone. What only the table can serve, an event stream or a WebSocket,
takes its socket back there; over HTTP/2, where a connection carries other requests, a stream is served here (`cold_answer`).

Hypercorn puts what arrives into a small queue, and the news that a request has ended too; where nobody takes from it,
both wait for ever. Hence a body is taken whole, or refused with the rest thrown away while the answer goes out.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial

import trio

from ..engine.log import get_logger
from .cold_answer import AnswerConnection, AnswerSettings
from .cold_server import AsgiApp, Message, Receive, Scope, Send
from .cold_settings import CallSettings
from .cold_stream import ColdStream
from .http_body import MAX_CHUNKS
from .http_message import SAFETY, HeadReader, Refused, Request, RequestHead, Response, named, problem
from .http_route import Handler, Hot, MakeMachine, Posted, Served, Stream, Upgrade
from .manners import Manners
from .request_id import REQUEST_ID, fresh
from .watch import Watch

_log = get_logger("hubbub.transport.cold_calls")

_BODILESS = frozenset({204, 304})
_SAFETY = [(name.encode(), value.encode()) for name, value in SAFETY]


class PeerGone(Exception):
    """The connection has ended before the request had arrived."""


class ColdCalls:
    """Serves each request of the cold lane.

    Args:
        route: `Router.route`; None means the pages.
        pages: the application for everything that no endpoint answers.
        take_back: gives the socket of a stream to the connection table and to the machine made there.
        manners: what answers carry besides their content.
        settings: bounds.
        watch: notes what is not a request of a route.
        streams: bounds of event streams over HTTP/2.

    Attributes:
        answers: event streams over HTTP/2 that are being served.
    """

    def __init__(
        self,
        route: Callable[[RequestHead], Served | None],
        pages: AsgiApp,
        take_back: Callable[[ColdStream, RequestHead, MakeMachine], None],
        manners: Manners,
        settings: CallSettings,
        watch: Watch,
        streams: AnswerSettings,
    ) -> None:
        self.draining = False
        """Every answer is the last one of its connection, and no socket goes back to the table."""
        self._route = route
        self._pages = pages
        self._take_back = take_back
        self._manners = manners
        self._settings = settings
        self._watch = watch
        self._streams = streams
        self.answers: set[AnswerConnection] = set()

    async def serve(self, stream: ColdStream, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an exception is ours, is logged, and gets 500 where nothing has been said yet."""
        answer = _Answer(send, self._manners, http2=is_http2(scope))
        try:
            await self._serve(stream, scope, receive, answer)
        except PeerGone:
            pass
        except Refused as refused:
            self._watch.turned_away(answer.head, refused.response)
            await answer.last(refused.response, receive)
        except Exception as error:  # noqa: BLE001  a bug in one request must not end the others
            report(error)
            self._watch.turned_away(answer.head, _BUG)
            if answer.started and not answer.http2:
                stream.abort()
            elif not answer.started:
                await answer.last(_BUG, receive)

    async def _serve(self, stream: ColdStream, scope: Scope, receive: Receive, answer: _Answer) -> None:
        head = answer.head = head_of(scope, self._settings)
        REQUEST_ID.set(head.request_id)  # Hypercorn gives every request a task of its own
        match self._route(head):
            case Hot(handler, max_body_bytes):
                body = await self._body(head, receive, max_body_bytes)
                await answer.whole(
                    await self._ask(handler, Request(head, body, peer_of(scope))), self._keeps_alive(head)
                )
            case None:
                await self._page(head, {**scope, "path": head.path}, receive, answer)
            case Stream(make_machine) | Upgrade(make_machine):
                if head.has_body:
                    raise Refused(problem(400, "No body is allowed here."))
                await self._go_on(stream, head, make_machine, scope, receive, answer)
            case Posted(make_posted, max_body_bytes):
                request = Request(head, await self._body(head, receive, max_body_bytes))
                await self._go_on(stream, head, lambda conn, _: make_posted(conn, request), scope, receive, answer)

    async def _page(self, head: RequestHead, scope: Scope, receive: Receive, answer: _Answer) -> None:
        """Have the pages answer. They read no body: one that comes all the same is thrown away, and ends the connection."""
        answer.closing = head.has_body or self.draining
        began_s = self._watch.clock()
        try:
            await self._have_answered(head, scope, receive, answer)
        finally:
            if answer.status:
                self._watch.page(head, answer.status, self._watch.clock() - began_s)

    async def _have_answered(self, head: RequestHead, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if not head.has_body:
            await self._pages(scope, receive, answer.send)
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_discard, receive)
            await self._pages(scope, trio.sleep_forever, answer.send)
            nursery.cancel_scope.cancel()

    def _keeps_alive(self, head: RequestHead) -> bool:
        return head.keep_alive and head.version == "1.1" and not self.draining

    async def _go_on(
        self,
        stream: ColdStream,
        head: RequestHead,
        make: MakeMachine,
        scope: Scope,
        receive: Receive,
        answer: _Answer,
    ) -> None:
        """Have a machine of the table answer."""
        if self.draining:
            raise Refused(problem(503, "The server is stopping."))
        if not answer.http2:
            self._take_back(stream, head, make)
            await trio.sleep_forever()  # all that served the connection is being cancelled, this too
        conn = AnswerConnection(scope["client"], self._streams)
        self.answers.add(conn)
        try:
            await conn.serve(lambda conn: make(conn, head), answer.start, answer.piece, partial(_discard, receive))
        finally:
            self.answers.discard(conn)

    async def _body(self, head: RequestHead, receive: Receive, max_body_bytes: int) -> bytes:
        if not head.has_body:
            return b""
        if head.content_length > max_body_bytes:
            raise Refused(_too_long(max_body_bytes))
        expect = head.header("expect")
        if expect is not None and expect.lower() != "100-continue":
            raise Refused(problem(417, "No expectation but 100-continue is supported."))
        with trio.move_on_after(self._settings.body_timeout_s):
            return await _collect(receive, max_body_bytes, MAX_CHUNKS if head.chunked else None)
        raise Refused(problem(408, "The request did not arrive in time."))

    async def _ask(self, handler: Handler, request: Request) -> Response:
        """Carry out a call whose answer may come later."""
        answers: list[Response] = []
        answered = trio.Event()

        def respond(response: Response) -> None:
            answers.append(response)
            answered.set()

        handler(request, respond)
        with trio.move_on_after(self._settings.response_timeout_s):
            await answered.wait()
            return answers[0]
        report(TimeoutError("no answer in time"))
        raise Refused(problem(503, "No answer in time; whether the request was carried out is not known."))


class _Answer:
    """Writes the one answer to a request.

    The last message of an answer is sent shielded from cancellation. While Hypercorn sends it, it reports the end of the request;
    Quart-Trio then cancels the task that is still sending, and Hypercorn would neither close the connection nor start its
    idle timer (pgjones/hypercorn 106, 210). The shield ends: every write has its own limit in `ColdStream`.
    """

    def __init__(self, send: Send, manners: Manners, *, http2: bool) -> None:
        self.http2 = http2
        """There are no headers about the connection, which carries other requests."""
        self.head: RequestHead | None = None
        """The request, once it could be read."""
        self.started = False
        self.status = 0
        """What has been said; 0 before that."""
        self.closing = False
        """Say that the connection ends, for an application that does not know."""
        self._send = send
        self._manners = manners

    async def send(self, message: Message) -> None:
        """As ASGI's own; for applications."""
        if not self.started:
            close = [(b"connection", b"close")] if self.closing and not self.http2 else []
            message["headers"] = [*message["headers"], *self._manners.headers(self.head, self._name), *_SAFETY, *close]
        await self._pass_on(message)

    @property
    def _name(self) -> str:
        return fresh() if self.head is None else self.head.request_id

    async def _pass_on(self, message: Message) -> None:
        self.started = True
        self.status = message.get("status", self.status)
        with trio.CancelScope(shield=message["type"] == "http.response.body" and not message.get("more_body")):
            await self._send(message)

    async def whole(self, response: Response, keep_alive: bool) -> None:
        """Send a response as `Manners.encode` writes it."""
        name = self._name
        response = named(response, name)
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.headers]
        if response.quota is not None:
            headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in response.quota.fields()]
        if response.status not in _BODILESS:
            headers.append((b"content-length", b"%d" % len(response.body)))
        headers += [*self._manners.headers(self.head, name), *_SAFETY]
        if not self.http2:
            headers.append((b"connection", b"keep-alive" if keep_alive else b"close"))
        await self._pass_on({"type": "http.response.start", "status": response.status, "headers": headers})
        await self._pass_on({"type": "http.response.body", "body": response.body, "more_body": False})

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Begin an answer whose head is complete."""
        await self._pass_on({"type": "http.response.start", "status": status, "headers": headers})

    async def piece(self, data: bytes, last: bool) -> None:
        """Go on with it."""
        await self._pass_on({"type": "http.response.body", "body": data, "more_body": not last})

    async def last(self, response: Response, receive: Receive) -> None:
        """Send a response that ends the connection, while input is thrown away."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_discard, receive)
            await self.whole(response, keep_alive=False)
            nursery.cancel_scope.cancel()


def is_http2(scope: Scope) -> bool:
    """Whether a request came over HTTP/2."""
    return bool(scope["http_version"] == "2")


def peer_of(scope: Scope) -> str | None:
    """The address at the other end of an ASGI request's socket."""
    client = scope.get("client")
    return None if client is None else client[0]


def head_of(scope: Scope, settings: CallSettings) -> RequestHead:
    """The head of an ASGI request, read by the reader of the other lane.

    h11 bounds what it keeps of a head that is incomplete; one that comes whole is judged here.

    Raises:
        Refused: as there.
    """
    query = scope["query_string"]
    target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
    version = b"1.1" if is_http2(scope) else scope["http_version"].encode()
    line = b"%b %b HTTP/%b" % (scope["method"].encode(), target, version)
    reader = HeadReader(settings.max_headers)
    fields = b"".join(b"%b: %b\r\n" % (name, value) for name, value in scope["headers"])
    if len(line) + len(fields) + 4 > settings.max_head_bytes:
        raise Refused(problem(431, f"The head is longer than {settings.max_head_bytes} bytes."))
    reader.feed(b"%b\r\n%b\r\n" % (line, fields), is_last=True)
    return reader.head(line)


def report(error: BaseException) -> None:
    """Log a bug by its types and places; its text could quote a request."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            report(each)
        return
    places = "".join(traceback.format_tb(error.__traceback__))
    _log.error("cold.request_failed", error=type(error).__name__, traceback=places)


async def _collect(receive: Receive, max_body_bytes: int, max_pieces: int | None) -> bytes:
    body = bytearray()
    pieces = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise PeerGone
        body += message["body"]
        pieces += 1
        if len(body) > max_body_bytes:
            raise Refused(_too_long(max_body_bytes))
        if max_pieces is not None and pieces > max_pieces:
            raise Refused(problem(413, f"The body has more than {max_pieces} chunks."))
        if not message["more_body"]:
            return bytes(body)


async def _discard(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_long(max_body_bytes: int) -> Response:
    return problem(413, f"The body is longer than {max_body_bytes} bytes.")


_BUG = problem(500, "Something went wrong here; the request may or may not have been carried out.")
