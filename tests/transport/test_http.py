"""The HTTP machine on a connection without a socket; h11's client judges what it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import attrs
import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.transport.http import HttpMachine, HttpSettings
from hubbub.transport.http_message import Request, RequestHead, Response, encode
from hubbub.transport.http_route import Cold, Hot, Respond, Route, Stream, Upgrade
from hubbub.transport.ports import Connection

from .fakes import FakeConnection, NoMachine, as_connection

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
MAX_BODY = 1_000


@attrs.define
class Recorder(NoMachine):
    """The machine that a connection is swapped to."""

    head: RequestHead
    data: bytes = b""
    ended: bool = False

    def received(self, data: bytes) -> None:
        self.data += data

    def eof(self) -> None:
        self.ended = True


class World:
    """A machine, its connection and a router by path; requests are kept and answered with their own body."""

    def __init__(self, **settings: float) -> None:
        self.conn = FakeConnection()
        self.requests: list[Request] = []
        self.owed: list[Respond] = []
        self.errors: list[Exception] = []
        self.left: bytes | None = None
        self.closed_hooks = 0
        self.machine = HttpMachine(
            as_connection(self.conn),
            self.route,
            HttpSettings(**settings),  # type: ignore[arg-type]
            self.errors.append,
        )
        self.conn.machine = self.machine

    def route(self, head: RequestHead, machine: HttpMachine) -> Route:
        routes: dict[str, Callable[[], Route]] = {
            "/late": lambda: Hot(self.later, MAX_BODY),
            "/broken": lambda: Hot(self.broken, MAX_BODY),
            "/cold": lambda: Cold(self.leave),
            "/ws": lambda: Upgrade(self.swap),
            "/events": lambda: Stream(self.swap),
            "/badroute": lambda: 1 // 0,  # type: ignore[dict-item, return-value]
        }
        return routes.get(head.path, lambda: Hot(self.answer, MAX_BODY))()

    def answer(self, request: Request, respond: Respond) -> None:
        self.requests.append(request)
        respond(Response(200, (("x-path", "ok"),), request.head.path.encode() + b":" + request.body))

    def later(self, request: Request, respond: Respond) -> None:
        self.requests.append(request)
        self.owed.append(respond)
        self.machine.on_closed = self.hook

    def hook(self) -> None:
        self.closed_hooks += 1

    def broken(self, request: Request, respond: Respond) -> None:
        raise ValueError("secret")

    def leave(self, conn: Connection, raw: bytes) -> None:
        self.left = raw

    def swap(self, conn: Connection, head: RequestHead) -> Recorder:
        return Recorder(head)

    def send(self, *chunks: bytes) -> World:
        for chunk in chunks:
            if not self.conn.is_closed:
                self.conn.machine.received(chunk)
        self.conn.turns()
        return self


@attrs.frozen
class Seen:
    """One response as h11 read it."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def responses(wire: bytes, methods: list[str]) -> list[Seen]:
    """Everything written, read by h11 as the answers to requests with these methods."""
    client = h11.Connection(h11.CLIENT)
    client.receive_data(wire)
    found: list[Seen] = []
    for number, method in enumerate(methods):
        if number:
            client.start_next_cycle()
        request = h11.Request(method=method, target="/", headers=[("Host", "x")])
        client.send(request)
        client.send(h11.EndOfMessage())
        head, body = None, b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                assert isinstance(event, h11.InformationalResponse), event
        assert head is not None
        found.append(Seen(head.status_code, dict(head.headers), body))
    assert client.trailing_data[0] == b""
    return found


def only(world: World) -> Seen:
    """The one response written so far."""
    (seen,) = responses(world.conn.take(), ["GET"])
    return seen


def chunked(body: bytes, sizes: list[int], trailer: bytes = b"") -> bytes:
    """A body in chunks of these sizes, the rest in one."""
    wire, at = b"", 0
    for size in [*sizes, len(body)]:
        piece = body[at : at + size]
        if piece:
            wire += b"%x;ext=1\r\n%b\r\n" % (len(piece), piece)
        at += size
    return wire + b"0\r\n" + trailer + b"\r\n"


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Data in pieces that are not empty."""
    at = sorted({0, len(data), *(place % len(data) for place in cuts)})
    return [data[start:end] for start, end in pairwise(at)]


TOKENS = st.text(alphabet="abcxyz-", min_size=1, max_size=8)
VALUES = st.text(alphabet="abc =;,\t\u00e9", max_size=12)


@attrs.frozen
class Asked:
    """One request of a script."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    chunk_sizes: list[int] | None

    def wire(self) -> bytes:
        lines = [
            f"{self.method} /{self.path} HTTP/1.1",
            "Host: x",
            *(f"X-{name}: {value}" for name, value in self.headers),
        ]
        if self.chunk_sizes is not None:
            tail = chunked(self.body, self.chunk_sizes, b"T: x\r\n")
            lines.append("Transfer-Encoding: chunked")
        else:
            tail = self.body
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + tail


ASKED = st.builds(
    Asked,
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.sampled_from(["a", "late", "b/c"]),
    headers=st.lists(st.tuples(TOKENS, VALUES), max_size=4),
    body=st.binary(max_size=100),
    chunk_sizes=st.none() | st.lists(st.integers(1, 40), max_size=4),
)


@given(st.lists(ASKED, min_size=1, max_size=6), st.lists(st.integers(0, 5_000), max_size=12))
def test_any_chunking_gives_the_same_requests(script: list[Asked], cuts: list[int]) -> None:
    """However the bytes were cut, the requests and their answers come whole and in order, late answers included."""
    world = World()
    for piece in cut(b"".join(asked.wire() for asked in script), cuts):
        world.send(piece)
    for _ in script:
        if len(world.owed) > 0:
            world.owed.pop(0)(Response(201, (), b"late"))
            world.conn.turns()
    assert [(each.head.method, each.head.path, each.body) for each in world.requests] == [
        (asked.method, f"/{asked.path}", asked.body) for asked in script
    ]
    for each, asked in zip(world.requests, script, strict=True):
        assert each.head.headers[1:-1] == tuple(
            (f"x-{name}".encode(), value.strip(" \t").encode("latin-1")) for name, value in asked.headers
        )
    seen = responses(world.conn.take(), [asked.method for asked in script])
    assert [(each.status, each.body) for each in seen] == [
        (201, b"late") if asked.path == "late" else (200, f"/{asked.path}:".encode() + asked.body) for asked in script
    ]
    assert not world.conn.is_closed
    assert not world.conn.is_paused


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=6))
@example([b"\x16\x03\x01\x02\x00\x01\x00"])
@example([b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"\xff"])
def test_garbage_never_raises(chunks: list[bytes]) -> None:
    """Whatever arrives, the machine answers or waits, and reports no error of ours."""
    world = World().send(*chunks)
    world.machine.timeout()
    assert world.errors == []


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01", 400, id="TLS hello"),
        pytest.param(b"\x00\xff garbage", 400, id="garbage"),
        pytest.param(b"get / HTTP/1.1\r\n", 400, id="method in lower case"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="HTTP/2 preface"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, id="HTTP/2.0"),
        pytest.param(b"GET / HTTP/0.9\r\n\r\n", 505, id="HTTP/0.9"),
        pytest.param(b"GET /\r\n\r\n", 505, id="no version"),
        pytest.param(b"GET /\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", (400, 505), id="no version, then a request"),
        pytest.param(b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 400, id="HTTP/1.2"),
        pytest.param(b"GET / RTSP/1.0\r\nHost: x\r\n\r\n", 400, id="RTSP"),
        pytest.param(b"SOURCE / ICE/1.0\r\nHost: x\r\n\r\n", 400, id="ICE"),
        pytest.param(b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="two spaces"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", 400, id="bare line feeds"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\n\r\n", 400, id="one bare line feed"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400, id="bare carriage return"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400, id="folded header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, id="space before colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400, id="NUL in a value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", 400, id="control character in a value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n", 400, id="no colon"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400, id="Host twice"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400, id="malformed Host"),
        pytest.param(b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="absolute target of another host"),
        pytest.param(b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="star without OPTIONS"),
        pytest.param(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501, id="CONNECT"),
        pytest.param(b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="fragment"),
        pytest.param(b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="path not UTF-8"),
        pytest.param(b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="NUL in the path"),
        pytest.param(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="raw bytes in the path"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, id="both"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            400,
            id="both, turned",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400, id="length twice"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\n", 400, id="length list"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", 400, id="negative length"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400, id="absurd length"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n", 413, id="long body announced"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, id="gzip coding"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, id="gzip under chunked"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            (400, 501),
            id="codings",
        ),
        pytest.param(
            b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400, id="chunked in HTTP/1.0"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: magic\r\n\r\n", 417, id="odd expectation"
        ),
        pytest.param(b"GET /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", 400, id="upgrade with a body"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 17_000, 431, id="long head"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 17_000 + b"\r\n\r\n", 431, id="long head in one piece"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 120 + b"\r\n", 431, id="many headers"),
    ],
)
def test_refusals(wire: bytes, status: int | tuple[int, ...]) -> None:
    """Each is refused, in one piece or byte by byte, with a last answer; what follows it is no request."""
    for chunks in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        world = World().send(*chunks)
        wanted = status if isinstance(status, tuple) else (status,)
        seen = only(world)
        assert seen.status in wanted
        assert seen.headers[b"connection"] == b"close"
        world.send(GET)
        assert world.requests == []
        assert world.conn.take() == b""
        world.machine.eof()
        assert world.conn.is_closed
        assert world.errors == []


def test_tls_hello_is_told_what_port_this_is() -> None:
    """The answer to a TLS hello is one line of text, given at the first byte."""
    seen = only(World().send(b"\x16"))
    assert seen.headers[b"content-type"].startswith(b"text/plain")
    assert b"plain HTTP port" in seen.body
    assert seen.body.count(b"\n") == 1


def test_http_09_is_refused_where_the_parser_ends_it() -> None:
    """llhttp takes a line without a version and a bare line feed for a whole head; it is refused, not waited on."""
    assert only(World().send(b"GET /\n\r\n")).status == 505


@pytest.mark.parametrize(
    "body",
    [
        b"g\r\n",
        b"3\nabc",
        b"3 \r\nabc\r\n",
        b"-1\r\n",
        b"0x3\r\n",
        b"\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n0\r\n",
        b"fffffffff\r\n",
        b"3;" + b"e" * 300,
        b"3;\n\r\nabc\r\n",
        b"0\r\nA: b\nC: d\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 1_000,
    ],
)
def test_malformed_chunks(body: bytes) -> None:
    """A chunked body that two readers might read differently is refused."""
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for chunks in ([head + body], [head, *(body[at : at + 1] for at in range(len(body)))]):
        world = World().send(*chunks)
        assert only(world).status == 400
        assert world.requests == []


def test_body_limits() -> None:
    """A body of the limit passes; one byte more is refused as soon as it is announced, in chunks too."""
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert only(World().send(head + chunked(b"a" * MAX_BODY, [999]))).status == 200
    assert only(World().send(head + b"3e7\r\n" + b"a" * 999 + b"\r\n2\r\n")).status == 413
    assert (
        only(World().send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"a" * 1_000)).status == 200
    )
    assert only(World().send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")).status == 413


def test_too_many_chunks() -> None:
    """Chunks cost a step each, so their number is bounded."""
    world = World()
    world.route = lambda head, machine: Hot(world.answer, 1_000_000)  # type: ignore[method-assign]
    machine = HttpMachine(as_connection(world.conn), world.route, HttpSettings(), world.errors.append)
    machine.received(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 5_000)
    assert only(world).status == 413


def test_head_fields() -> None:
    """The head says what was asked: decoded path, raw query, joined headers."""
    world = World().send(
        b"GET /r%C3%B6m/a%2Fb?q=%20&q=2?x HTTP/1.1\r\nHost: x:80\r\nAccept: a\r\nX:  y \r\nAccept: b\r\nE: \xe9\r\n\r\n"
    )
    head = world.requests[0].head
    assert (head.method, head.path, head.query) == ("GET", "/r\u00f6m/a/b", "q=%20&q=2?x")
    assert head.target == b"/r%C3%B6m/a%2Fb?q=%20&q=2?x"
    assert (head.header("accept"), head.header("x"), head.header("e")) == ("a, b", "y", "\u00e9")
    assert head.header("none") is None
    assert (head.version, head.keep_alive, head.upgrade, head.has_body) == ("1.1", True, False, False)


def test_other_forms_of_target() -> None:
    """An absolute target of our own host and OPTIONS * are understood."""
    world = World().send(
        b"GET http://X:8/p?q HTTP/1.1\r\nHost: x:8\r\n\r\n",
        b"GET http://x?q HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    assert [(each.head.path, each.head.query) for each in world.requests] == [("/p", "q"), ("/", "q"), ("*", "")]


@pytest.mark.parametrize(
    ("line", "keeps"),
    [
        (b"HTTP/1.1\r\nHost: x\r\n", True),
        (b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", False),
        (b"HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n", False),
        (b"HTTP/1.0\r\n", False),
        (b"HTTP/1.0\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_keep_alive(line: bytes, keeps: bool) -> None:
    """The connection stays open when the client wants it, and the answer says so."""
    world = World().send(b"GET /a " + line + b"\r\n" + GET)
    first = world.conn.take()
    assert (b"connection: keep-alive" in first) == keeps
    assert world.conn.is_closed == (not keeps)
    assert len(world.requests) == (2 if keeps else 1)


def test_head_request_has_no_body() -> None:
    """HEAD is answered with the length and without the body, also when it fails."""
    world = World().send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n" + GET + b"HEAD /broken HTTP/1.1\r\nHost: x\r\n\r\n")
    head, get, broken = responses(world.conn.take(), ["HEAD", "GET", "HEAD"])
    assert (head.headers[b"content-length"], head.body) == (b"3", b"")
    assert (get.body, broken.status) == (b"/a:", 500)


def test_expect_continue() -> None:
    """A client that waits is told to go on; one that does not wait is not."""
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    world = World().send(head)
    assert world.conn.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert only(world.send(b"ab")).body == b"/a:ab"
    whole = world.send(head + b"ab").conn.take()
    assert whole.startswith(b"HTTP/1.1 200 OK")
    assert only(world.send(head.replace(b"h: 2", b"h: 2000"))).status == 413


def test_pipelined_requests_are_served_in_order_over_turns() -> None:
    """Many requests in one piece are served in order, a bounded number per turn, and reading waits meanwhile."""
    world = World(steps_per_turn=4)
    wire = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(10))
    world.machine.received(wire)
    assert len(world.requests) == 4
    assert world.conn.is_paused
    assert world.conn.turns() == 2
    assert [each.head.path for each in world.requests] == [f"/{number}" for number in range(10)]
    assert not world.conn.is_paused
    assert len(responses(world.conn.take(), ["GET"] * 10)) == 10


def test_pipelined_behind_a_late_answer() -> None:
    """Requests behind one whose answer is owed wait, with reading paused, and nothing overtakes."""
    world = World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    assert not world.conn.is_paused
    world.send(GET)
    assert world.conn.is_paused
    assert world.conn.take() == b""
    world.owed[0](Response(202))
    world.conn.turns()
    assert [each.status for each in responses(world.conn.take(), ["GET", "GET"])] == [202, 200]
    assert not world.conn.is_paused


def test_no_answers_piled_up_for_a_peer_that_does_not_read() -> None:
    """While an answer is unsent no further request is served; it goes on when the socket takes bytes again."""
    world = World()
    world.conn.is_blocked = True
    world.send(GET + GET)
    assert world.requests == []
    assert world.conn.is_paused
    world.conn.is_blocked = False
    world.machine.writable()
    assert len(world.requests) == 2
    assert not world.conn.is_paused


def test_answered_exactly_once() -> None:
    """A second answer to the same request is a bug of the caller and changes nothing."""
    world = World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    world.owed[0](Response(200))
    written = world.conn.take()
    with pytest.raises(RuntimeError):
        world.owed[0](Response(200))
    world.send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(RuntimeError):
        world.owed[0](Response(200))
    assert written
    assert world.conn.take() == b""


def test_answer_after_the_connection_has_gone() -> None:
    """The hook tells the endpoint once; its late answer is ignored."""
    world = World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    world.machine.closed()
    assert world.closed_hooks == 1
    world.owed[0](Response(200))
    assert world.conn.take() == b""


def test_hook_is_forgotten_with_the_answer() -> None:
    """A connection that closes after the answer is nobody's concern."""
    world = World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    world.owed[0](Response(200))
    world.machine.closed()
    assert world.closed_hooks == 0


@pytest.mark.parametrize("path", [b"/broken", b"/badroute"])
def test_our_bug_is_answered_without_details(path: bytes) -> None:
    """An exception from handler or router is reported to us; the peer sees a bare 500, then the connection closes."""
    world = World().send(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path + GET)
    seen = only(world)
    assert (seen.status, seen.headers[b"content-type"]) == (500, b"application/problem+json")
    assert json.loads(seen.body)["status"] == 500
    assert b"secret" not in seen.body
    assert len(world.errors) == 1
    assert world.conn.is_closed


def test_response_header_that_breaks_its_line() -> None:
    """A header with a line end is refused before anything is written."""
    with pytest.raises(ValueError, match="line end"):
        encode(Response(200, (("a", "b\r\nc: d"),)), keep_alive=True)


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_body(status: int) -> None:
    """204 and 304 have no body and announce none."""
    (seen,) = responses(encode(Response(status, (), b"no"), keep_alive=True), ["GET"])
    assert (seen.status, seen.body, seen.headers) == (status, b"", {b"connection": b"keep-alive"})


# Deadlines and ends


def test_deadlines() -> None:
    """Each wait has its own deadline: head, idle, head again, body, answer."""
    world = World()
    seen = [world.conn.deadline_s]
    for chunk in (GET, GET[:9], GET[9:], b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", b"x"):
        world.send(chunk)
        seen.append(world.conn.deadline_s)
    assert seen == [10.0, 75.0, 10.0, 75.0, 30.0, 60.0]


def test_dribbling_does_not_move_the_deadline() -> None:
    """The head deadline counts from the first byte of the head."""
    world = World().send(GET[:5])
    world.conn.deadline_s = None
    assert world.send(GET[5:9]).conn.deadline_s is None


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"", None),
        (b"\r\n", None),
        (GET[:9], 408),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab", 408),
        (b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n", 503),
    ],
)
def test_timeout(wire: bytes, status: int | None) -> None:
    """An idle connection is closed silently, an unfinished request with 408, a lost answer with 503; then it is over."""
    world = World()
    if wire:
        world.send(wire)
    world.machine.timeout()
    assert world.conn.is_closed
    if status is None:
        assert world.conn.take() == b""
    else:
        assert only(world).status == status
    assert len(world.errors) == (1 if status == 503 else 0)
    for respond in world.owed:
        respond(Response(200))
    assert world.conn.take() == b""


def test_idle_timeout_while_the_answer_is_still_going_out() -> None:
    """A slow reader of a long answer is not idle."""
    world = World().send(GET)
    world.conn.is_blocked = True
    world.conn.deadline_s = None
    world.machine.timeout()
    assert not world.conn.is_closed
    assert world.conn.deadline_s == 75.0


def test_refused_input_is_read_and_thrown_away_for_a_while() -> None:
    """After a refusal the peer may finish sending, up to a bound and a deadline, so that it can read the answer."""
    world = World(max_discard_bytes=1_000).send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
    assert only(world).status == 413
    assert (world.conn.is_closed, world.conn.deadline_s) == (False, 2.0)
    world.send(b"a" * 1_000)
    assert not world.conn.is_closed
    world.send(b"a")
    assert world.conn.is_closed
    other = World().send(b"\x16")
    other.machine.timeout()
    assert other.conn.is_closed


def test_eof() -> None:
    """A peer that half-closes still gets its answers, those behind a late one included; then we close."""
    idle, partial, late = World(), World().send(GET[:9]), World()
    for world in (idle, partial):
        world.machine.eof()
        assert world.conn.is_closed
        assert world.conn.take() == b""
    late.send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n", GET)
    late.machine.eof()
    assert not late.conn.is_closed
    late.owed[0](Response(202))
    late.conn.turns()
    assert [each.status for each in responses(late.conn.take(), ["GET", "GET"])] == [202, 200]
    assert late.conn.is_closed


def test_drain() -> None:
    """Draining closes an idle connection at once and a busy one with its answer."""
    idle, busy = World().send(GET), World().send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    idle.machine.drain()
    busy.machine.drain()
    assert (idle.conn.is_closed, busy.conn.is_closed) == (True, False)
    busy.owed[0](Response(200))
    assert only(busy).headers[b"connection"] == b"close"
    assert busy.conn.is_closed


def test_stalled_peer_is_cut() -> None:
    """A peer that takes no bytes is given up."""
    world = World().send(GET)
    world.machine.stalled()
    assert world.conn.is_aborted


# Other owners


@given(st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_cold_route_takes_every_byte_along(tail: bytes, cuts: list[int], first_hot: bool) -> None:
    """What leaves begins with the head of the cold request and holds all that was read behind it."""
    head = b"POST /cold HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"
    world, unread = World(), b""
    for piece in cut((GET if first_hot else b"") + head + tail, cuts):
        if world.left is None:
            world.send(piece)
        else:
            unread += piece
    assert world.left is not None
    assert world.left + unread == head + tail
    assert world.conn.deadline_s is None
    assert len(world.requests) == first_hot


def test_cold_route_waits_for_earlier_answers() -> None:
    """The socket does not leave with unsent bytes; what is read meanwhile leaves with it."""
    world = World()
    answer = world.answer

    def answer_and_block(request: Request, respond: Respond) -> None:
        answer(request, respond)
        world.conn.is_blocked = True

    world.answer = answer_and_block  # type: ignore[method-assign]
    cold = b"GET /cold HTTP/1.1\r\nHost: x\r\n\r\n"
    world.send(GET, cold)
    assert world.left is None
    assert world.conn.is_paused
    world.conn.is_blocked = False
    world.machine.writable()
    assert world.left == cold


@pytest.mark.parametrize("path", [b"/ws", b"/events"])
def test_swap(path: bytes) -> None:
    """Another machine takes the connection over, with the bytes behind the head, and this one is out of it."""
    wire = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % path
    world = World().send(GET, wire[:30], wire[30:] + b"\x81\x80", b"more")
    machine = world.conn.machine
    assert isinstance(machine, Recorder)
    assert (machine.head.upgrade, machine.data) == (True, b"\x81\x80more")
    assert world.conn.deadline_s is None
    assert len(responses(world.conn.take(), ["GET"])) == 1


def test_h2c_upgrade_is_ignored() -> None:
    """An offer to speak HTTP/2 is answered in HTTP/1.1."""
    world = World().send(
        b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n" + GET
    )
    assert [each.status for each in responses(world.conn.take(), ["GET", "GET"])] == [200, 200]
