"""A recording peer around the HTTP machine, for its tests: no socket; h11's client reads what it writes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import attrs
import h11
from hypothesis import strategies as st

from hubbub.transport.http import HttpMachine
from hubbub.transport.http_message import Request, RequestHead, Response
from hubbub.transport.http_route import Cold, Hot, Posted, Respond, Route, Stream, Upgrade
from hubbub.transport.http_settings import HttpSettings
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
            "/posted": lambda: Posted(self.swap_posted, MAX_BODY),
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

    def swap_posted(self, conn: Connection, request: Request) -> Recorder:
        self.requests.append(request)
        return Recorder(request.head)

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
