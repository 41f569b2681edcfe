"""Reads an event stream (WHATWG HTML, section 9.2.6): bytes in, in any pieces, events out. No I/O.

Bounded: a line or an event that is too long is an error, and so is never gathered in memory. The events before it are given
first. Reconnecting, and what an event means, is left to the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

MAX_LINE_BYTES: Final = 1024 * 1024
MAX_EVENT_BYTES: Final = 4 * 1024 * 1024

_END_OF_LINE = re.compile(rb"\r\n|\n|\r")
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()
_MAX_RETRY_DIGITS = 9


class StreamTooLong(Exception):
    """A line or an event of the stream is over its bound; the reader is of no more use."""


@attrs.frozen
class StreamEvent:
    """One event.

    Attributes:
        type: what its ``event:`` said, or ``message``.
        last_event_id: of the newest event that had an id, this one included; "" before any.
    """

    type: str
    data: str
    last_event_id: str


class StreamReader:
    """A reader for one connection; make another one for the next.

    Args:
        max_line_bytes: longest line, without its end.
        max_event_bytes: longest data of one event.

    Attributes:
        retry_s: how long the server asks readers to wait before they reconnect, or None when it has not said.
    """

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.retry_s: float | None = None
        self._max_line_bytes = max_line_bytes
        self._max_event_bytes = max_event_bytes
        self._partial = bytearray()
        self._ended_in_cr = False
        self._at_start = True
        self._type = ""
        self._data: list[str] = []
        self._data_bytes = 0
        self._id = ""

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """Take the next bytes and give the events that they complete, in order. Exhaust it before feeding more.

        An event that the stream's end leaves without its blank line is dropped, as the standard says: it was cut.

        Raises:
            StreamTooLong: after the events that came before it.
        """
        for line in self._lines(chunk):
            if not line:
                event = self._dispatch()
                if event is not None:
                    yield event
            elif not line.startswith(b":"):
                self._field(line)

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        if not chunk:
            return
        if self._ended_in_cr:  # the line end may be a CRLF that was cut in two
            chunk = chunk.removeprefix(b"\n")
        self._ended_in_cr = chunk.endswith(b"\r")
        start = 0
        for end in _END_OF_LINE.finditer(chunk):
            self._gather(chunk[start : end.start()])
            line = bytes(self._partial)
            self._partial.clear()
            start = end.end()
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(_BOM)
            yield line
        self._gather(chunk[start:])

    def _gather(self, piece: bytes) -> None:
        self._partial += piece
        if len(self._partial) > self._max_line_bytes:
            raise StreamTooLong(f"a line of the stream is longer than {self._max_line_bytes} bytes")

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        match name:
            case b"data":
                self._data_bytes += len(value) + 1
                if self._data_bytes > self._max_event_bytes:
                    raise StreamTooLong(f"an event of the stream is longer than {self._max_event_bytes} bytes")
                self._data.append(text)
            case b"event":
                self._type = text
            case b"id" if "\0" not in text:
                self._id = text
            case b"retry" if text.isascii() and text.isdigit() and len(text) <= _MAX_RETRY_DIGITS:
                self.retry_s = int(text) / 1000
            case _:
                pass  # unknown fields are there to be ignored

    def _dispatch(self) -> StreamEvent | None:
        event = StreamEvent(self._type or "message", "\n".join(self._data), self._id) if self._data else None
        self._type, self._data, self._data_bytes = "", [], 0
        return event
