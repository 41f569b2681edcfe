"""HTTP/1.1 messages as values: a request head read strictly, a response written.

llhttp (through httptools) does the tokenizing. It is strict about line ends, header characters, repeated or odd
Content-Length and Content-Length beside Transfer-Encoding; it is lenient about the version (0.9, 2.0, RTSP, ICE),
spaces in the request line, chunked bodies in HTTP/1.0, the Host header and white space after a value. What it lets
pass is refused here. A head that comes out is safe to act on: one Host, one body length, a path that is text.

Left out: bodies (`http_body`), connection state (`http`), forwarded addresses, cookies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Literal, NamedTuple
from urllib.parse import unquote_to_bytes

import httptools
import msgspec

from .request_id import accepted

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_BODILESS = frozenset({204, 304})
_PASSING = frozenset({408, 429, 503})
_CODES = {400: "invalid_request", 413: "too_large", 431: "too_large", 500: "internal", 503: "outcome_unknown"}
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""
PROBLEM_TYPE = ("content-type", "application/problem+json")
PROBLEM_HEADERS = (PROBLEM_TYPE, ("cache-control", "no-store"))
SAFETY = (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"))
"""What every answer tells browsers: its type is as said, and its address is nobody else's business."""
SAFETY_LINES = "".join(f"{name}: {value}\r\n" for name, value in SAFETY).encode()
_KEEP_ALIVE = SAFETY_LINES + b"connection: keep-alive\r\n\r\n"
_CLOSE = SAFETY_LINES + b"connection: close\r\n\r\n"


class Refused(Exception):
    """The peer's bytes cannot be served; the connection is answered with `response` and closed."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class RequestHead(msgspec.Struct, frozen=True):
    """The head of one request, checked. What is made for each request is a msgspec struct: a third of an attrs class."""

    method: str
    target: bytes
    """As it stood in the request line."""
    path: str
    """Percent-decoded, without the query."""
    query: str
    """As sent, not decoded."""
    version: Literal["1.0", "1.1"]
    headers: tuple[tuple[bytes, bytes], ...]
    """In the order sent; names in lower case, values without outer white space."""
    named: Mapping[bytes, bytes]
    """The same by name, repeated ones joined by a comma: up to ten are asked for in a request."""
    keep_alive: bool
    upgrade: bool
    """Connection names `upgrade`, and an Upgrade header is there."""
    content_length: int
    chunked: bool
    request_id: str = ""
    """Its own, checked, or one that was made for it; "" only where a program made the head."""

    @property
    def has_body(self) -> bool:
        """Whether bytes of a body follow the head."""
        return self.chunked or self.content_length > 0

    def header(self, name: str) -> str | None:
        """One header's value, repeated ones joined by a comma.

        Args:
            name: in lower case.
        """
        value = self.named.get(name.encode("ascii"))
        return None if value is None else value.decode("latin-1")


class Request(msgspec.Struct, frozen=True):
    """A whole request."""

    head: RequestHead
    body: bytes
    peer: str | None = None
    """The address at the other end of the socket; whose request it is, `address` tells."""


class Quota(NamedTuple):
    """How much a client may still ask, as the answer tells it: RateLimit-Limit, -Remaining, -Reset.

    These three fields stood in draft-ietf-httpapi-ratelimit-headers-03 to -06 and are what clients and proxies read today; the
    drafts since then have changed names and syntax twice and are no RFC yet.
    """

    limit: int
    remaining: int
    reset_s: int
    """Until all of it may be asked again."""

    def fields(self) -> tuple[tuple[str, str], ...]:
        """The headers."""
        limit, remaining, reset_s = self
        return (
            ("ratelimit-limit", str(limit)),
            ("ratelimit-remaining", str(remaining)),
            ("ratelimit-reset", str(reset_s)),
        )


class Response(msgspec.Struct, frozen=True):
    """A whole response; Content-Length and Connection are added when it is written, and what `quota` says."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    code: str = ""
    """Of the problem that it tells, for figures and logs; it is not written."""
    quota: Quota | None = None
    about: str = ""
    """For the audit log where the path does not name it: what was made or changed; it is not written."""
    by: str = ""
    """For the audit log where the request did not show it: the id of whoever has acted; it is not written."""


def problem(status: int, detail: str, *headers: tuple[str, str], code: str | None = None) -> Response:
    """A refusal in the form of RFC 9457.

    Args:
        status: its HTTP status.
        detail: a sentence for people; it never quotes what was sent.
        headers: more headers.
        code: stable, for programs; when left out, the one that goes with the status.
    """
    title = HTTPStatus(status).phrase
    code = code or _CODES.get(status) or title.lower().replace(" ", "_")
    document: dict[str, object] = {"type": f"urn:hubbub:problem:{code}", "title": title, "status": status}
    document |= {"detail": detail, "code": code, "retry": "after" if status in _PASSING else "never"}
    return Response(status, PROBLEM_HEADERS + headers, json.dumps(document, separators=(",", ":")).encode(), code)


def named(response: Response, request_id: str) -> Response:
    """A problem document that says which request it is about; any other response as it is.

    Args:
        response: its body is a JSON object that is not empty where it is a problem document.
        request_id: of an alphabet that JSON need not escape.
    """
    if PROBLEM_TYPE not in response.headers:
        return response
    body = b'%b,"request_id":"%b"}' % (response.body[:-1], request_id.encode())
    return msgspec.structs.replace(response, body=body)


def encode(response: Response, *, keep_alive: bool, head_only: bool = False, lines: bytes = b"") -> bytes:
    """Write a response.

    Args:
        response: what to write.
        keep_alive: whether the connection stays open after it.
        head_only: the request was a HEAD; the length is announced, the body left out.
        lines: more header lines, each with its end.

    Raises:
        ValueError: a header would break the line it stands on.
    """
    status = response.status
    # Nearly all answers begin with one of a handful of heads; more headers than two say a place, a time or a token.
    head = _known_head(status, response.headers) if len(response.headers) <= 2 else _head(status, response.headers)
    if response.quota is not None:  # apart from the headers, whose head should stay a known one: this is new each time
        head += b"ratelimit-limit: %d\r\nratelimit-remaining: %d\r\nratelimit-reset: %d\r\n" % response.quota
    end = _KEEP_ALIVE if keep_alive else _CLOSE
    if status in _BODILESS:
        return b"%b%b%b" % (head, lines, end)
    body = b"" if head_only else response.body
    return b"%bcontent-length: %d\r\n%b%b%b" % (head, len(response.body), lines, end, body)


def _head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The head of a response as far as it does not depend on its body and its connection."""
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n"]
    for name, value in headers:
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError(f"line end in the value of response header {name!r}")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


_known_head = lru_cache(maxsize=64)(_head)


class HeadReader:
    """Reads one request head; fed in pieces so that garbage is refused at its first byte, not at the end.

    The caller finds the blank line, feeds nothing behind it, and then asks for `head`.
    """

    __slots__ = ("_complete", "_headers", "_max_headers", "_parser", "_target")

    def __init__(self, max_headers: int) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._max_headers = max_headers
        self._target = b""
        self._complete = False
        self._parser = httptools.HttpRequestParser(self)

    def on_url(self, piece: bytes) -> None:
        """Called by the parser."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._complete = True

    def feed(self, data: bytes, *, is_last: bool) -> None:
        """Take the next bytes of the head.

        Args:
            data: may be empty.
            is_last: they end with the blank line.

        Raises:
            Refused: they are not HTTP/1.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # the head is complete; what an Upgrade header means is for the router to say
        except httptools.HttpParserError as error:
            if self._target == b"*" and "PRI" in str(error):
                raise Refused(problem(505, "This port speaks HTTP/1.1; HTTP/2 is not served here.")) from error
            if not self._complete:
                if self._target:
                    raise Refused(problem(400, f"The request head is malformed: {error}.")) from error
                text = f"This is a plain HTTP port (no TLS here), and that was not an HTTP/1.1 request: {error}."
                raise Refused(problem(400, text)) from error
            # After the blank line llhttp judges the body's framing, which `_framing` does with its own words.
        if self._complete and not is_last:  # HTTP/0.9, where llhttp takes a bare line feed for an end
            raise Refused(_other_version())
        if len(self._headers) > self._max_headers:
            raise Refused(problem(431, f"More than {self._max_headers} headers."))

    def head(self, request_line: bytes) -> RequestHead:
        """The head, once the blank line has been fed.

        Args:
            request_line: the first line as received, without its end.

        Raises:
            Refused: it asks for something that we do not do, or leaves in doubt what it asks.
        """
        method, version = self._parser.get_method(), self._parser.get_http_version()
        del self._parser  # it holds our callbacks: without this every request would wait for the garbage collector
        is_11 = version == "1.1"
        if not is_11 and version != "1.0":
            raise Refused(_other_version())
        # Doubled spaces, ICE/1.0 and RTSP/1.0 pass llhttp; none of them reproduces the line as it was sent.
        if not self._complete or request_line != b"%b %b HTTP/1.%d" % (method, self._target, is_11):
            raise Refused(problem(400, "The request line is malformed."))
        if method == b"CONNECT":
            raise Refused(problem(501, "CONNECT is not supported."))
        singles = self._collect()
        host = self._host(singles, required=is_11)
        path, query = _split_target(method, self._target, host)
        content_length, chunked = _framing(singles, is_11)
        keep_alive, upgrade = _connection(singles, is_11)
        return RequestHead(
            method.decode("ascii"),
            self._target,
            path,
            query,
            "1.1" if is_11 else "1.0",
            tuple(self._headers),
            singles,
            keep_alive,
            upgrade,
            content_length,
            chunked,
            accepted(singles.get(b"x-request-id")),
        )

    def _collect(self) -> dict[bytes, bytes]:
        """Headers by name, repeated ones joined by a comma."""
        found = dict(self._headers)
        if len(found) < len(self._headers):
            found.clear()
            for name, value in self._headers:
                found[name] = found[name] + b", " + value if name in found else value
        return found

    def _host(self, headers: dict[bytes, bytes], *, required: bool) -> bytes:
        host = headers.get(b"host")
        if host is None:
            if required:
                raise Refused(problem(400, "The Host header is missing."))
            return b""
        repeated = len(headers) < len(self._headers) and sum(name == b"host" for name, _ in self._headers) > 1
        if repeated or not _HOST.fullmatch(host):
            raise Refused(problem(400, "The Host header is repeated or malformed."))
        return host


def _connection(headers: dict[bytes, bytes], is_11: bool) -> tuple[bool, bool]:
    """What the Connection header asks for: (to keep the connection, to upgrade it)."""
    value = headers.get(b"connection")
    if value is None:
        return is_11, False
    tokens = [token.strip() for token in value.lower().split(b",")]
    keeps = b"close" not in tokens and (is_11 or b"keep-alive" in tokens)
    return keeps, b"upgrade" in tokens and b"upgrade" in headers


def _other_version() -> Response:
    return problem(505, "This port speaks HTTP/1.1 and HTTP/1.0.")


def _framing(headers: dict[bytes, bytes], is_11: bool) -> tuple[int, bool]:
    """How long the body is: (Content-Length, chunked). llhttp has refused both together and a length with odd digits."""
    coding = headers.get(b"transfer-encoding")
    if coding is not None:
        # With HTTP/1.0, or with another coding in front, two readers may disagree where the request ends.
        if not is_11 or b"content-length" in headers:
            raise Refused(problem(400, "The length of the body is in doubt."))
        if coding.lower() != b"chunked":
            raise Refused(problem(501, "No transfer coding but chunked is supported."))
        return 0, True
    length = headers.get(b"content-length")
    if length is None:
        return 0, False
    length = length.strip()
    if not length.isdigit() or len(length) > 19:
        raise Refused(problem(400, "Content-Length is malformed."))
    return int(length), False


def _split_target(method: bytes, target: bytes, host: bytes) -> tuple[str, str]:
    """The decoded path and the raw query of a request target."""
    if not target.startswith(b"/"):
        if target == b"*" and method == b"OPTIONS":
            return "*", ""
        target = _origin_form(target, host)
    if b"#" in target:
        raise Refused(problem(400, "A request target has no fragment."))
    raw_path, _, query = target.partition(b"?")
    if b"%" not in raw_path:
        return raw_path.decode("ascii"), query.decode("ascii")
    try:
        path = unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(problem(400, "The path is not UTF-8.")) from error
    if _CONTROL.search(path):
        raise Refused(problem(400, "The path has control characters."))
    return path, query.decode("ascii")


def _origin_form(target: bytes, host: bytes) -> bytes:
    """Path and query of an absolute target (`http://host/path`), whose host must be the one in the Host header."""
    scheme, found, rest = target.partition(b"://")
    cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    if not found or scheme.lower() not in {b"http", b"https"} or rest[:cut].lower() != host.lower():
        raise Refused(problem(400, "The request target is malformed."))
    tail = rest[cut:]
    return tail if tail.startswith(b"/") else b"/" + tail
