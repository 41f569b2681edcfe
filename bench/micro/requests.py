"""HTTP: a request's head, an answer, and both through the machine of a connection."""

from __future__ import annotations

from typing import Final

from ...transport.http import HttpMachine
from ...transport.http_message import HeadReader, Request, RequestHead, Response, encode
from ...transport.http_route import Hot, Respond, Route
from ...transport.http_settings import HttpSettings
from .benchmark import Benchmark, Call
from .inputs import ROOM, TOKEN, NullConnection

_GET: Final = (
    f"GET /v1/conversations/{ROOM}/messages?limit=50 HTTP/1.1\r\nHost: chat.example.org\r\nAccept: application/json\r\n"
    f"Accept-Encoding: gzip, br\r\nUser-Agent: example/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
).encode()
_BODY: Final = b'{"text":"hello, everybody"}'
_POST: Final = (
    f"POST /v1/conversations/{ROOM}/messages HTTP/1.1\r\nHost: chat.example.org\r\nContent-Type: application/json\r\n"
    f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(_BODY)}\r\n\r\n"
).encode() + _BODY
_ANSWER: Final = Response(
    200, (("content-type", "application/json"), ("cache-control", "no-store")), b'{"messages":[]}' * 20
)


def _read_head() -> Call:
    line = _GET.partition(b"\r\n")[0]

    def call() -> RequestHead:
        reader = HeadReader(100)
        reader.feed(_GET, is_last=True)
        return reader.head(line)

    return call


def _answer() -> Call:
    return lambda: encode(_ANSWER, keep_alive=True)


def _serve(request: bytes) -> Call:
    def handler(request: Request, respond: Respond) -> None:
        respond(_ANSWER)

    def route(head: RequestHead, machine: HttpMachine) -> Route:
        return Hot(handler, 1024)

    machine = HttpMachine(NullConnection(), route, HttpSettings(), _bug)
    return lambda: machine.received(request)


def _bug(error: Exception) -> None:
    raise AssertionError("the machine failed") from error


BENCHMARKS: Final = (
    Benchmark(name="http/head", what="the head of a GET with five headers, checked", make=_read_head),
    Benchmark(name="http/answer", what="an answer to bytes", make=_answer),
    Benchmark(name="http/get", what="a GET on a kept connection, to its answer", make=lambda: _serve(_GET)),
    Benchmark(name="http/post", what="a POST with a small body, to its answer", make=lambda: _serve(_POST)),
)
