"""The client's side of HTTP/1.1: requests out, answers in, bytes only. Pure.

Understood is what a server of ours may answer to GET and POST: a status line, headers, and a body whose length is said
by Content-Length or by chunks. Anything else is a `WireError`, which ends that connection: an answer that runs until
the connection ends, a length said twice, an upgrade, a head or a body over its bound.

Left out: HEAD, pipelining (one answer is owed at a time; who asks counts them), redirects, compression.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import attrs

from ..wire import WireError

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_LINE_BYTES: Final = 256  # of a chunk's size
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*)")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?")
_BODILESS: Final = frozenset({204, 304})


@attrs.frozen
class Answer:
    """One answer.

    Attributes:
        closing: The server ends the connection after it.
    """

    status: int
    body: bytes
    closing: bool


@attrs.frozen
class _Head:
    """What a head says of its answer; `length` is None for a chunked body."""

    status: int
    length: int | None
    closing: bool


class Answers:
    """Reads the answers of one connection from bytes that are cut anywhere.

    Memory is bounded by one head and one body. After a `WireError` it must not be used again.
    """

    __slots__ = ("_body", "_chunk_left", "_closed", "_head", "_in_trailer", "_unread")

    def __init__(self) -> None:
        self._unread = b""
        self._head: _Head | None = None
        self._closed = False
        self._body = bytearray()  # of a chunked body, as far as it came
        self._chunk_left = 0  # bytes of the present chunk and its line end; 0: a size line comes next
        self._in_trailer = False

    def feed(self, data: bytes) -> list[Answer]:
        """Take bytes; returns the answers that are whole now, in order.

        Raises:
            WireError: The server sent what this client does not understand.
        """
        unread, at = self._unread + data if self._unread else data, 0
        answers: list[Answer] = []
        while at < len(unread) or self._head is not None:
            head = self._head
            if head is None:
                head, at = self._take_head(unread, at)
                if head is None:
                    break
                if head.status < 200:
                    continue
                self._head = head
            body, at = (
                self._take_sized(unread, at, head.length) if head.length is not None else self._chunks(unread, at)
            )
            if body is None:
                break
            self._head = None
            self._closed = head.closing
            answers.append(Answer(head.status, body, head.closing))
        self._unread = unread[at:]
        return answers

    def _take_head(self, data: bytes, at: int) -> tuple[_Head | None, int]:
        if self._closed:
            raise WireError("bytes behind an answer that was the last one")
        end = data.find(b"\r\n\r\n", at, at + MAX_HEAD_BYTES)
        if end >= 0:
            return _read_head(data[at:end]), end + 4
        if len(data) - at >= MAX_HEAD_BYTES:
            raise WireError("the answer's head does not end")
        if not b"HTTP/1.".startswith(data[at : at + 7]):
            raise WireError("not an HTTP/1 answer")
        return None, at

    @staticmethod
    def _take_sized(data: bytes, at: int, length: int) -> tuple[bytes | None, int]:
        end = at + length
        return (None, at) if len(data) < end else (data[at:end], end)

    def _chunks(self, data: bytes, at: int) -> tuple[bytes | None, int]:
        """Read on in a chunked body; (None, where to go on) while it is incomplete."""
        while True:
            if self._chunk_left:
                at, moved = self._take_chunk(data, at)
                if not moved:
                    return None, at
                continue
            end = data.find(b"\r\n", at, at + MAX_LINE_BYTES)
            if end < 0:
                if len(data) - at >= MAX_LINE_BYTES:
                    raise WireError("a line of a chunked body does not end")
                return None, at
            line, at = data[at:end], end + 2
            if not self._in_trailer:
                self._start_chunk(line)
            elif not line:
                self._in_trailer = False
                body, self._body = bytes(self._body), bytearray()
                return body, at
            else:
                raise WireError("a chunked body with a trailer")

    def _start_chunk(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise WireError("a chunk without a size")
        size = int(match[1], 16)
        if len(self._body) + size > MAX_BODY_BYTES:
            raise WireError("a body over the bound")
        self._in_trailer = size == 0
        self._chunk_left = size + 2 if size else 0

    def _take_chunk(self, data: bytes, at: int) -> tuple[int, bool]:
        """Take what there is of the present chunk; False when the rest has not come."""
        if self._chunk_left > 2:
            piece = data[at : at + self._chunk_left - 2]
            self._body += piece
            self._chunk_left -= len(piece)
            at += len(piece)
        if self._chunk_left > 2 or len(data) - at < 2:
            return at, False
        if data[at : at + 2] != b"\r\n":
            raise WireError("a chunk longer than its size")
        self._chunk_left = 0
        return at + 2, True


@lru_cache(maxsize=1024)  # a load meets the same few heads again and again: 8 us became 0.3
def _read_head(raw: bytes) -> _Head:
    first, *lines = raw.split(b"\r\n")
    status_line = _STATUS.fullmatch(first)
    if status_line is None:
        raise WireError("not an HTTP/1 answer")
    status = int(status_line[2])
    if status == 101:
        raise WireError("an upgrade that nobody asked for")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise WireError("a malformed header")
        name, value = field[1].lower(), field[2].rstrip(b" \t")
        fields[name] = fields[name] + b"," + value if name in fields else value
    tokens = [token.strip() for token in fields.get(b"connection", b"").lower().split(b",")]
    keeps = b"keep-alive" in tokens if status_line[1] == b"0" else b"close" not in tokens
    return _Head(status, _length(status, fields), closing=not keeps)


def _length(status: int, fields: dict[bytes, bytes]) -> int | None:
    if status < 200 or status in _BODILESS:
        return 0
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if coding is not None:
        if coding.lower() != b"chunked" or length is not None:
            raise WireError("a body of unknown length")
        return None
    if length is None or not length.isdigit() or len(length) > 12:
        raise WireError("a body of unknown length")
    if int(length) > MAX_BODY_BYTES:
        raise WireError("a body over the bound")
    return int(length)


class Requests:
    """Writes the requests of one user: minimal heads, Host and Authorization, and what a body needs.

    Args:
        host: As in the Host header, with the port.
        token: Bearer token.
    """

    __slots__ = ("_tail",)

    def __init__(self, host: str, token: str) -> None:
        self._tail: Final = f" HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n".encode()

    def get(self, target: str) -> bytes:
        """A GET."""
        return b"GET %b%b\r\n" % (target.encode(), self._tail)

    def post(self, target: str, body: bytes, key: str) -> bytes:
        """A POST of JSON with an idempotency key."""
        return b"POST %b%bContent-Type: application/json\r\nIdempotency-Key: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            target.encode(),
            self._tail,
            key.encode(),
            len(body),
            body,
        )
