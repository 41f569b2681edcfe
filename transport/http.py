"""The HTTP/1.1 machine of one connection: reads requests, asks the router, writes responses, or lets the socket go.

Invariants:
- One request is in flight. Input behind it is kept, reading is paused as soon as there is some, and it is served
  in order afterwards, a bounded number of steps per turn, never while an earlier response is still unsent.
- Each request is answered exactly once; answers that come after the connection has gone are dropped.
- Every wait on the peer has a deadline: head, body, idle. So has the wait on our own handler.
- A refusal is the last thing said. What the peer is still sending is then read and thrown away for a while (`http_discard`).
- A connection that leaves (cold route, upgrade, event stream) takes every byte along that was read but not used.

Left out: which route a request takes, endpoints, compression, TLS (`tls_connection`), HTTP/2.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import partial

from .http_body import ChunkedBody, LengthBody, body_for
from .http_discard import Discarding
from .http_message import HeadReader, Refused, Request, RequestHead, Response, problem
from .http_route import Cold, Handler, Hot, MakeMachine, MakePosted, Posted, Respond, Route
from .http_settings import HttpSettings
from .manners import Manners
from .ports import Connection, Machine

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PLAIN = Manners()


class _State(Enum):
    HEAD = auto()  # between requests, or in the middle of a head
    BODY = auto()
    OWED = auto()  # the handler has the request
    LEAVING = auto()  # a cold request waits until earlier responses have gone
    GONE = auto()  # closing, closed, or somebody else's


class HttpMachine:
    """Serves requests on one connection.

    Args:
        conn: the connection; its machine is this one until a route swaps it.
        router: decides from the head alone. It may raise `Refused`; any other exception is a bug, answered with 500.
        settings: bounds.
        on_error: told of an exception from router or handler; the peer sees 500 without details.
        manners: what its answers carry besides their content.
        on_refused: told of what is answered to input that is no request of a route; the head is None where there is none.
    """

    __slots__ = (
        "_body",
        "_cold",
        "_conn",
        "_draining",
        "_eof",
        "_fed",
        "_handler",
        "_head",
        "_manners",
        "_on_error",
        "_on_refused",
        "_paused",
        "_peer",
        "_raw",
        "_reader",
        "_router",
        "_running",
        "_serial",
        "_settings",
        "_state",
        "on_closed",
    )

    def __init__(
        self,
        conn: Connection,
        router: Callable[[RequestHead, HttpMachine], Route],
        settings: HttpSettings,
        on_error: Callable[[Exception], None],
        manners: Manners = _PLAIN,
        on_refused: Callable[[RequestHead | None, Response], None] = lambda _head, _response: None,
    ) -> None:
        self.on_closed: Callable[[], None] | None = None
        """Set by a handler that owes an answer: called when the connection goes first. Forgotten with the answer."""
        self._conn = conn
        self._peer = None if conn.peer is None else conn.peer[0]
        self._router = router
        self._settings = settings
        self._on_error = on_error
        self._manners = manners
        self._on_refused = on_refused
        self._state = _State.HEAD
        self._raw = b""  # input not used yet; in HEAD it begins with the head being read
        self._fed = 0  # how much of a partial head the reader has seen
        self._reader: HeadReader | None = None
        self._head: RequestHead | None = None
        self._handler: Handler | None = None
        self._body: LengthBody | ChunkedBody | None = None
        self._cold: Cold | None = None
        self._serial = 0
        self._paused = self._running = self._eof = self._draining = False
        conn.set_deadline(settings.head_timeout_s)

    @property
    def conn(self) -> Connection:
        """The connection that this machine serves."""
        return self._conn

    def drain(self) -> None:
        """Serve no further request: close now when idle, otherwise after the answer to the present one."""
        self._draining = True
        if self._state is _State.HEAD and not self._raw:
            self._finish()

    # What the table calls

    def received(self, data: bytes) -> None:
        """Take input; see `Machine`."""
        state = self._state
        if state is _State.HEAD or state is _State.BODY:
            self._raw = self._raw + data if self._raw else data
            self._run()
        elif state is _State.OWED or state is _State.LEAVING:
            self._raw += data
            self._hold()

    def again(self) -> None:
        """Go on with kept input; see `Machine`."""
        self._run()

    def writable(self) -> None:
        """Go on after a full socket; see `Machine`."""
        if self._state is _State.LEAVING:
            self._leave()
        else:
            self._run()

    def stalled(self) -> None:
        """Give up a peer that does not take its answer."""
        self._conn.abort()

    def timeout(self) -> None:
        """A deadline has passed; see `Machine`."""
        state = self._state
        if state is _State.HEAD and self._conn.blocked:
            # The answer is still being taken; whether fast enough is for the stall time to judge.
            self._conn.set_deadline(self._settings.idle_timeout_s)
        elif (state is _State.HEAD and self._raw) or state is _State.BODY:
            self._give_up(problem(408, "The request did not arrive in time."))
        elif state is _State.OWED:
            self._on_error(TimeoutError(f"no answer after {self._settings.response_timeout_s} s"))
            self._say_last(problem(503, "No answer in time; whether the request was carried out is not known."))
        elif state is not _State.GONE:
            self._finish()

    def eof(self) -> None:
        """The peer sends no more; an answer that is owed is still given."""
        self._eof = True
        if self._state is _State.HEAD or self._state is _State.BODY:
            self._run()

    def closed(self) -> None:
        """The socket has gone; see `Machine`."""
        self._forget()
        hook, self.on_closed = self.on_closed, None
        if hook is not None:
            hook()

    # Reading

    def _run(self) -> None:
        """Serve kept input as far as it goes and this turn allows."""
        self._running = True
        try:
            if self._serve():
                self._read_on()
        except Refused as refused:
            self._refuse(refused.response)
        finally:
            self._running = False

    def _serve(self) -> bool:
        """Take steps; True when they ran out of input, so that more of it is wanted."""
        for _ in range(self._settings.steps_per_turn):
            if self._state is _State.HEAD:
                step = self._step_head
            elif self._state is _State.BODY:
                step = self._step_body
            else:
                return False
            if not self._raw:
                return True
            if self._conn.blocked:  # `writable` goes on; answers are not piled up for a peer that does not read
                self._hold()
                return False
            if not step():
                return True
        if self._raw:
            self._hold()
            self._conn.again()
            return False
        return self._state is _State.HEAD or self._state is _State.BODY

    def _read_on(self) -> None:
        if self._eof:
            self._finish()
        elif self._paused:
            self._paused = False
            self._conn.resume()

    def _hold(self) -> None:
        if not self._paused:
            self._paused = True
            self._conn.pause()

    def _step_head(self) -> bool:
        """Read on in the head; False when it is incomplete."""
        raw, reader, fed = self._raw, self._reader, self._fed
        if reader is None:
            if raw[0] in b"\r\n":  # some clients end a body with a line end too many
                raw = self._raw = raw.lstrip(b"\r\n")
                if not raw:
                    return False
            reader = HeadReader(self._settings.max_headers)
        end = raw.find(b"\r\n\r\n", max(fed - 3, 0)) + 4
        complete = end > 3
        # Fed before the length is judged: long garbage is told that it is garbage.
        reader.feed(raw[fed:end] if complete else raw[fed:], is_last=complete)
        if (end if complete else len(raw)) > self._settings.max_head_bytes:
            raise Refused(problem(431, f"The head is longer than {self._settings.max_head_bytes} bytes."))
        if complete:
            self._reader, self._fed = None, 0
            self._route(reader.head(raw[: raw.index(b"\r\n")]), end)
            return True
        if self._reader is None:
            self._reader = reader
            self._conn.set_deadline(self._settings.head_timeout_s)
        self._fed = len(raw)
        return False

    def _step_body(self) -> bool:
        """Read on in the body; False when it is incomplete."""
        body, head, handler = self._body, self._head, self._handler
        assert body is not None
        assert head is not None
        assert handler is not None
        rest = body.feed(self._raw)
        if rest is None:
            self._raw = b""
            return False
        self._raw = rest
        self._body = self._handler = None
        self._hand_over(Request(head, body.take(), self._peer), handler)
        return True

    # Routing

    def _route(self, head: RequestHead, end: int) -> None:
        """Act on a head whose bytes end at `end`."""
        self._head = head
        try:
            route = self._router(head, self)
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 - reported; the peer gets 500, the other connections are not touched
            self._fail(error)
            return
        if isinstance(route, Hot):
            self._start_hot(head, end, route)
        elif isinstance(route, Cold):
            self._cold = route
            self._state = _State.LEAVING
            if self._conn.blocked:
                self._hold()
                self._conn.set_deadline(None)  # from here the table's stall time counts
            else:
                self._leave()
        elif isinstance(route, Posted):
            self._start_hot(head, end, Hot(partial(self._swap_posted, route.make_machine), route.max_body_bytes))
        else:
            self._swap(head, end, route.make_machine)

    def _start_hot(self, head: RequestHead, end: int, route: Hot) -> None:
        if not head.has_body:
            self._raw = self._raw[end:]
            self._hand_over(Request(head, b"", self._peer), route.handler)
            return
        body = body_for(head, route.max_body_bytes)
        expect = head.header("expect")
        if expect is not None and expect.lower() != "100-continue":
            raise Refused(problem(417, "No expectation but 100-continue is supported."))
        raw = self._raw[end:]
        rest = body.feed(raw) if raw else None
        if rest is not None:  # it came whole: one step, and no deadline for what is here already
            self._raw = rest
            self._hand_over(Request(head, body.take(), self._peer), route.handler)
            return
        self._raw = b""
        self._body = body
        self._handler = route.handler
        self._state = _State.BODY
        self._conn.set_deadline(self._settings.body_timeout_s)
        if expect is not None and head.version == "1.1" and not raw:
            self._conn.write(_CONTINUE)

    def _leave(self) -> None:
        cold, raw, conn = self._cold, self._raw, self._conn
        assert cold is not None
        self._forget()
        conn.set_deadline(None)
        cold.leave(conn, raw)

    def _swap(self, head: RequestHead, end: int, make_machine: MakeMachine) -> None:
        if head.has_body:
            raise Refused(problem(400, "No body is allowed here."))
        self._become(lambda conn: make_machine(conn, head), self._raw[end:])

    def _swap_posted(self, make_machine: MakePosted, request: Request, respond: Respond) -> None:
        """As a handler: the new machine answers."""
        self._become(lambda conn: make_machine(conn, request), self._raw)

    def _become(self, make: Callable[[Connection], Machine], rest: bytes) -> None:
        conn, eof = self._conn, self._eof
        conn.set_deadline(None)
        try:
            machine = make(conn)
        except Exception as error:  # noqa: BLE001 - as in _route
            self._fail(error)
            return
        if self._paused:
            conn.resume()
        self._forget()
        conn.machine = machine
        if rest:
            machine.received(rest)
        if eof:
            machine.eof()

    # Answering

    def _hand_over(self, request: Request, handler: Handler) -> None:
        self._serial += 1
        self._state = _State.OWED
        try:
            handler(request, partial(self._respond, self._serial))
        except Exception as error:  # noqa: BLE001 - as in _route
            self._fail(error)
            return
        if self._state is _State.OWED:
            self._conn.set_deadline(self._settings.response_timeout_s)

    def _respond(self, serial: int, response: Response) -> None:
        if self._state is _State.GONE:
            return
        head = self._head
        if serial != self._serial or self._state is not _State.OWED or head is None:
            raise RuntimeError("this request has been answered")
        keep_alive = head.keep_alive and not self._draining
        self._conn.write(self._manners.encode(response, head, keep_alive))
        self.on_closed = None
        self._head = None
        if not keep_alive:
            self._finish()
            return
        self._state = _State.HEAD
        self._conn.set_deadline(self._settings.idle_timeout_s)
        if not self._running and (self._raw or self._paused or self._eof):
            self._conn.again()

    def _fail(self, error: Exception) -> None:
        """Report a bug met while serving; the request gets 500 unless it has been answered already."""
        self._on_error(error)
        if self._head is not None:
            self._give_up(problem(500, "Something went wrong here; the request may or may not have been carried out."))
        elif self._state is not _State.GONE:
            self._finish()

    def _give_up(self, response: Response) -> None:
        self._on_refused(self._head, response)
        self._say_last(response)

    def _say_last(self, response: Response) -> None:
        """Answer and close; for a peer of which nothing more is expected."""
        self._conn.write(self._manners.encode(response, self._head, False))
        self._finish()

    def _refuse(self, response: Response) -> None:
        """Answer input that cannot be served, then throw away what is still coming."""
        conn, settings = self._conn, self._settings
        self._on_refused(self._head, response)
        conn.write(self._manners.encode(response, self._head, False))
        if self._eof:
            self._finish()
            return
        self._forget()
        conn.machine = Discarding(conn, settings.max_discard_bytes, settings.discard_timeout_s)
        if self._paused:
            conn.resume()

    def _finish(self) -> None:
        self._forget()
        self._conn.close()

    def _forget(self) -> None:
        """Let go of everything that belongs to requests."""
        self._state = _State.GONE
        self._raw = b""
        self._reader = self._head = self._handler = self._body = self._cold = None
