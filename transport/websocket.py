"""RFC 6455, server side, without I/O: the handshake, frames out, and a reader of frames in.

The reader is pulled: `feed` takes bytes, each `next_event` takes at most one frame, so that the caller bounds how many are
handled per turn; the rest stays buffered. A bad peer never makes it raise: it gets one
`Violation` with the close code to send, and nothing after it. Held per reader: at most one recv beyond one
frame, plus the fragments of one message, both within `max_message_bytes`. Text that is not UTF-8 is refused with the
fragment that makes it so, not at the end of the message.

No extension is negotiated (compression offers are ignored), and of the subprotocols only `centrifuge-json` is.
Left out: sending, ping schedule, Origin, what the messages mean.
"""

from __future__ import annotations

import binascii
import codecs
import hashlib
from typing import TypeVar

import attrs

from .http_message import RequestHead, Response, problem

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SUBPROTOCOL = "centrifuge-json"
MAX_FRAGMENTS = 1_024
"""Fragments of one message; each costs a step though it may carry nothing."""

_INT_MASK_BYTES = 1_500
_XOR_TABLES = tuple(bytes(byte ^ key for byte in range(256)) for key in range(256))


def accept_key(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept value for a client's key."""
    return binascii.b2a_base64(hashlib.sha1(key + _GUID, usedforsecurity=False).digest(), newline=False)


def check_upgrade(head: RequestHead) -> Response | None:
    """Whether a request is an opening handshake that we can answer; if not, the answer to give instead."""
    if head.method != "GET":
        return problem(405, "A WebSocket opens with GET.", ("allow", "GET"))
    offered = [token.strip().lower() for token in (head.header("upgrade") or "").split(",")]
    if head.version != "1.1" or not head.upgrade or "websocket" not in offered:
        return _upgrade_required("This address speaks WebSocket: HTTP/1.1 with Upgrade: websocket.")
    if head.header("sec-websocket-version") != "13":
        return _upgrade_required("Only version 13 of the WebSocket protocol is spoken.")
    try:
        key = binascii.a2b_base64(head.header("sec-websocket-key") or "", strict_mode=True)
    except ValueError:
        key = b""
    return None if len(key) == 16 else problem(400, "Sec-WebSocket-Key is not 16 bytes in base64.")


def handshake_response(head: RequestHead, lines: bytes = b"") -> bytes:
    """The 101 answer to a request that `check_upgrade` let pass.

    Args:
        head: the request.
        lines: more header lines, each with its end.
    """
    accept = accept_key((head.header("sec-websocket-key") or "").encode("latin-1"))
    offered = [name.strip() for name in (head.header("sec-websocket-protocol") or "").split(",")]
    chosen = b"Sec-WebSocket-Protocol: centrifuge-json\r\n" if _SUBPROTOCOL in offered else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b%b\r\n" % (accept, chosen, lines)
    )


def _upgrade_required(detail: str) -> Response:
    return problem(426, detail, ("upgrade", "websocket"), ("sec-websocket-version", "13"))


def text_frame(payload: bytes) -> bytes:
    """A whole text message; the payload is UTF-8."""
    return _frame(0x81, payload)


def pong_frame(payload: bytes = b"") -> bytes:
    """A pong, with the payload of the ping."""
    return _frame(0x8A, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """A close; a reason over 123 bytes of UTF-8 is cut at a character."""
    text = reason.encode()[:123].decode("utf-8", "ignore").encode()
    return _frame(0x88, code.to_bytes(2, "big") + text)


def _frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 65_536:
        return bytes((first, 126, length >> 8, length & 255)) + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


@attrs.frozen
class Text:
    """A whole text message; checked UTF-8."""

    payload: bytes


@attrs.frozen
class Ping:
    """To be answered by a pong with the same payload."""

    payload: bytes


@attrs.frozen
class Pong:
    """An answer to a ping, or unasked."""

    payload: bytes


@attrs.frozen
class Part:
    """A fragment was taken and its message goes on: nothing to do, but a step of its own, so that a turn stays bounded."""


@attrs.frozen
class Close:
    """The peer closes; nothing comes after it. The code is 1005 when the frame had none, which is never sent back."""

    code: int
    reason: str


@attrs.frozen
class Violation:
    """The peer broke the protocol or a limit; close with this code. Nothing comes after it."""

    close_code: int
    reason: str


_PART = Part()

Event = Text | Ping | Pong | Part | Close | Violation
_Last = TypeVar("_Last", Close, Violation)


class FrameReader:
    """Turns what a client sends into events.

    Args:
        max_message_bytes: bound of one message, and so of one frame.
    """

    __slots__ = (
        "_cut",
        "_data",
        "_done",
        "_fragments",
        "_max_message_bytes",
        "_message",
        "_pos",
        "_short_bytes",
        "_usual_bytes",
    )

    def __init__(self, max_message_bytes: int = 131_072) -> None:
        self._max_message_bytes = max_message_bytes
        self._short_bytes = min(125, max_message_bytes)  # the longest that the hot path takes in either form
        self._usual_bytes = min(65_535, max_message_bytes)
        self._data: bytes | bytearray = b""
        self._pos = 0
        self._message: bytearray | None = None  # the fragments so far; None outside a fragmented message
        self._cut = b""  # the begun character at the end of the last fragment
        self._fragments = 0
        self._done = False

    def feed(self, data: bytes) -> None:
        """Take bytes; then pull `next_event` until it gives None before feeding more than a turn's worth."""
        if self._done:
            return
        if self._pos == len(self._data):
            self._data = data
            self._pos = 0
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data[self._pos :])  # grows in place: a dribbled message stays linear
        else:
            del self._data[: self._pos]
        self._pos = 0
        self._data += data

    def next_event(self) -> Event | None:
        """What the next frame means; None when more bytes are needed, and for ever after Close or Violation."""
        data, pos = self._data, self._pos
        # The hot path: one whole text message of up to 64 KiB. Everything else takes the general way below.
        if len(data) - pos > 7 and data[pos] == 0x81 and self._message is None:
            length, body_at = data[pos + 1] - 128, pos + 6
            if length == 126:
                length, body_at = data[pos + 2] << 8 | data[pos + 3], pos + 8
                usual = 126 <= length <= self._usual_bytes
            else:
                usual = 0 <= length <= self._short_bytes
            if usual:
                end = body_at + length
                if end > len(data):
                    return None
                body = _unmask(data[body_at:end], data[body_at - 4 : body_at])
                if end == len(data):
                    self._data, self._pos = b"", 0
                else:
                    self._pos = end
                return self._text(body)
        return self._next_general()

    def _next_general(self) -> Event | None:
        data, pos = self._data, self._pos
        if len(data) - pos < 2:
            return None
        first, second = data[pos], data[pos + 1]
        refused = self._check_head(first, second)
        if refused is not None:
            return refused
        head_bytes, length = self._length(second & 127)
        if length < 0:
            return None
        refused = self._check_length(head_bytes, length, is_control=bool(first & 8))
        if refused is not None:
            return refused
        end = pos + head_bytes + length
        if end > len(data):
            return None
        body = _unmask(data[pos + head_bytes : end], data[pos + head_bytes - 4 : pos + head_bytes])
        if end == len(data):
            self._data, self._pos = b"", 0
        else:
            self._pos = end
        return self._control(first & 15, body) if first & 8 else self._fragment(first, body)

    def _check_head(self, first: int, second: int) -> Violation | None:
        """Judge the first two bytes of a frame."""
        opcode, is_final = first & 15, first & 128
        if first & 0x70:
            return self._violation(1002, "reserved bits are set")
        if not second & 128:
            return self._violation(1002, "a client's frame is masked")
        if opcode == 2:
            return self._violation(1003, "binary messages are not accepted")
        if opcode not in {0, 1, 8, 9, 10}:
            return self._violation(1002, "unknown opcode")
        if opcode & 8:
            if not is_final or second & 127 > 125:
                return self._violation(1002, "a control frame is one frame of at most 125 bytes")
        elif (opcode == 0) != (self._message is not None):
            return self._violation(1002, "continuation out of place")
        return None

    def _length(self, short: int) -> tuple[int, int]:
        """Bytes of the frame's head, mask included, and of its payload; -1 while they are incomplete."""
        data, pos = self._data, self._pos
        if short < 126:
            return 6, (short if len(data) - pos >= 6 else -1)
        if short == 126:
            return 8, (int.from_bytes(data[pos + 2 : pos + 4], "big") if len(data) - pos >= 4 else -1)
        return 14, (int.from_bytes(data[pos + 2 : pos + 10], "big") if len(data) - pos >= 10 else -1)

    def _check_length(self, head_bytes: int, length: int, *, is_control: bool) -> Violation | None:
        """Judge an announced length, before any of the payload is waited for."""
        if (head_bytes == 8 and length < 126) or (head_bytes == 14 and length < 65_536) or length >= 1 << 63:
            return self._violation(1002, "length in a wrong form")
        if not is_control and length + len(self._message or b"") > self._max_message_bytes:
            return self._violation(1009, f"a message is at most {self._max_message_bytes} bytes")
        return None

    def _fragment(self, first: int, body: bytes) -> Event:
        """A data frame: a whole message, or a part of one."""
        is_final = bool(first & 128)
        if self._message is None:
            if is_final:
                return self._text(body)
            self._message = bytearray()
            self._cut = b""
            self._fragments = 0
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS:
            return self._violation(1009, f"a message is at most {MAX_FRAGMENTS} fragments")
        unchecked = self._cut + body
        try:
            _, checked_bytes = codecs.utf_8_decode(unchecked, "strict", is_final)
        except UnicodeDecodeError:
            return self._not_utf8()
        self._cut = unchecked[checked_bytes:]
        self._message += body
        if not is_final:
            return _PART
        whole = bytes(self._message)
        self._message = None
        return Text(whole)

    def _text(self, body: bytes) -> Text | Violation:
        if body.isascii() or _is_utf8(body):
            return Text(body)
        return self._not_utf8()

    def _not_utf8(self) -> Violation:
        return self._violation(1007, "text is not UTF-8")

    def _control(self, opcode: int, body: bytes) -> Event:
        if opcode == 9:
            return Ping(body)
        if opcode == 10:
            return Pong(body)
        if not body:
            return self._end(Close(1005, ""))
        code = int.from_bytes(body[:2], "big")
        if len(body) == 1 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            return self._violation(1002, "bad close code")
        try:
            return self._end(Close(code, body[2:].decode()))
        except UnicodeDecodeError:
            return self._violation(1007, "close reason is not UTF-8")

    def _violation(self, code: int, reason: str) -> Violation:
        return self._end(Violation(code, reason))

    def _end(self, event: _Last) -> _Last:
        self._done = True
        self._data, self._pos, self._message = b"", 0, None
        return event


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unmask(body: bytes | bytearray, mask: bytes | bytearray) -> bytes:
    """Undo the client's mask: one big XOR for small payloads, four strided table look-ups for others.

    Measured on 3.11: 0.5 against 1.2 us at 125 bytes, 170 against 105 us at 64 KiB.
    """
    length = len(body)
    if length < _INT_MASK_BYTES:
        key = int.from_bytes((mask * (length // 4 + 1))[:length], "little")
        return (int.from_bytes(body, "little") ^ key).to_bytes(length, "little")
    out = bytearray(length)
    for lane in range(4):
        out[lane::4] = body[lane::4].translate(_XOR_TABLES[mask[lane]])
    return bytes(out)
