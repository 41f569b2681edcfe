"""Requests read from bytes, however they are cut, and what is refused; h11's client judges what is answered."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.transport.http import HttpMachine
from hubbub.transport.http_message import Response
from hubbub.transport.http_route import Hot
from hubbub.transport.http_settings import HttpSettings

from .fakes import as_connection
from .http_world import ASKED, GET, MAX_BODY, Asked, World, chunked, cut, only, responses


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
    world.conn.machine.timeout()
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
        world.conn.machine.eof()
        assert world.conn.is_closed
        assert world.errors == []


def test_tls_hello_is_told_what_port_this_is() -> None:
    """The answer to a TLS hello says so, at its first byte, in words that people find in their terminal."""
    seen = only(World().send(b"\x16"))
    assert (seen.status, seen.headers[b"content-type"]) == (400, b"application/problem+json")
    assert b"plain HTTP port" in seen.body


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
