"""Request bodies: counted by Content-Length, or chunked (RFC 9112, section 7.1), bounded while they arrive.

llhttp is not used here: through httptools it does not say where a message ended, and what follows a body belongs to
the next request. Chunked is read strictly: hexadecimal size, CRLF after size and data, no bare line ends, trailers
dropped. Bounds: the body, one size line, all trailers, and the number of chunks, since each costs a step.
"""

from __future__ import annotations

import re

from .http_message import Refused, RequestHead, problem

MAX_CHUNKS = 4_096
MAX_SIZE_LINE_BYTES = 256
MAX_TRAILER_BYTES = 4_096

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[\t\x20-\x7e\x80-\xff]*)?")


class LengthBody:
    """A body of known length."""

    __slots__ = ("_body", "_missing")

    def __init__(self, length: int) -> None:
        self._body: bytes | bytearray = b""
        self._missing = length

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; what follows the body is returned, None while it is incomplete."""
        missing = self._missing
        if not self._body and len(data) >= missing:  # nearly all come whole, with their head
            self._body = data[:missing]
        else:
            if not self._body:
                self._body = bytearray()
            self._body += data[:missing]
        self._missing = max(0, missing - len(data))
        return data[missing:] if len(data) >= missing else None

    def take(self) -> bytes:
        """The whole body."""
        return bytes(self._body)


class ChunkedBody:
    """A chunked body of at most `max_body_bytes`."""

    __slots__ = ("_body", "_buffer", "_chunk_left", "_chunks", "_max_body_bytes", "_trailer_bytes")

    def __init__(self, max_body_bytes: int) -> None:
        self._body = bytearray()
        self._buffer = b""
        self._chunk_left = 0  # data bytes of the present chunk and its line end; 0: a size line comes next
        self._chunks = 0
        self._max_body_bytes = max_body_bytes
        self._trailer_bytes = -1  # -1 until the last chunk has been seen

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes; what follows the body is returned, None while it is incomplete.

        Raises:
            Refused: malformed, or longer than allowed.
        """
        data = self._buffer + data
        at = 0
        while True:
            if self._chunk_left:
                taken = self._take_data(data, at)
            elif self._trailer_bytes < 0:
                taken = self._take_size(data, at)
            else:
                taken = self._take_trailer(data, at)
                if taken == 2:
                    return data[at + 2 :]
            if not taken:
                self._buffer = data[at:]
                return None
            at += taken

    def take(self) -> bytes:
        """The whole body."""
        return bytes(self._body)

    def _take_size(self, data: bytes, at: int) -> int:
        line = _line(data, at, MAX_SIZE_LINE_BYTES)
        if line is None:
            return 0
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise Refused(problem(400, "A chunk size is malformed."))
        size = int(match[1], 16)
        self._chunks += 1
        if len(self._body) + size > self._max_body_bytes:
            raise Refused(problem(413, f"The body is longer than {self._max_body_bytes} bytes."))
        if self._chunks > MAX_CHUNKS:
            raise Refused(problem(413, f"The body has more than {MAX_CHUNKS} chunks."))
        if size:
            self._chunk_left = size + 2
        else:
            self._trailer_bytes = 0
        return len(line) + 2

    def _take_data(self, data: bytes, at: int) -> int:
        left = self._chunk_left
        if left > 2:
            piece = data[at : at + left - 2]
            self._body += piece
            self._chunk_left -= len(piece)
            return len(piece)
        end = data[at : at + 2]
        if not b"\r\n".startswith(end):
            raise Refused(problem(400, "A chunk is longer than its size."))
        if len(end) < 2:
            return 0
        self._chunk_left = 0
        return 2

    def _take_trailer(self, data: bytes, at: int) -> int:
        line = _line(data, at, MAX_TRAILER_BYTES)
        if line is None:
            return 0
        self._trailer_bytes += len(line) + 2
        if b"\n" in line or b"\r" in line or b"\0" in line or self._trailer_bytes > MAX_TRAILER_BYTES:
            raise Refused(problem(400, "The trailers are malformed or too long."))
        return len(line) + 2


def body_for(head: RequestHead, max_body_bytes: int) -> LengthBody | ChunkedBody:
    """The reader for the body that a head announces.

    Raises:
        Refused: the announced length is over the limit.
    """
    if head.chunked:
        return ChunkedBody(max_body_bytes)
    if head.content_length > max_body_bytes:
        raise Refused(problem(413, f"The body is longer than {max_body_bytes} bytes."))
    return LengthBody(head.content_length)


def _line(data: bytes, at: int, max_bytes: int) -> bytes | None:
    """The line that starts at `at`, without its end; None while it is incomplete."""
    end = data.find(b"\r\n", at, at + max_bytes + 2)
    if end >= 0:
        return data[at:end]
    if len(data) - at > max_bytes + 1 or data.find(b"\n", at) >= 0:
        raise Refused(problem(400, "A line of the chunked body is too long, or its end is malformed."))
    return None
