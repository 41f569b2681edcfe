"""A client's frames, written naively, and the shape of a conformance case."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x37\xfa\x21\x3d"


@attrs.frozen
class Case:
    """One case.

    Attributes:
        id: its number in the Autobahn test suite; a letter behind it marks a variant of ours.
        send: the client's frames.
        expect: opcode and payload of what the server sends before a close.
        close: the code with which the server fails the connection; None: it does not, and the client closes with 1000, which
            the server sends back.
        echoes: the code of the client's own close among `send`, which the server sends back.
    """

    id: str
    send: bytes
    expect: Sequence[tuple[int, bytes]] = ()
    close: int | None = None
    echoes: int | None = None


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK) -> bytes:
    """One frame; without a mask it is no client's."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    length, masked = len(payload), 0x80 if mask else 0
    if length < 126:
        head = bytes((first, masked | length))
    elif length < 65_536:
        head = bytes((first, masked | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + length.to_bytes(8, "big")
    if mask is None:
        return head + payload
    key = (mask * (length // 4 + 1))[:length]
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def text(payload: bytes) -> bytes:
    """A whole text message."""
    return frame(TEXT, payload)


def fragmented(payload: bytes, size: int, opcode: int = TEXT) -> bytes:
    """A message in fragments of so many bytes."""
    return pieces([payload[at : at + size] for at in range(0, len(payload), size)], opcode)


def pieces(parts: Sequence[bytes], opcode: int = TEXT, *, finished: bool = True) -> bytes:
    """A message in these fragments; not finished: more would follow."""
    last = len(parts) - 1
    return b"".join(frame(0 if at else opcode, part, fin=finished and at == last) for at, part in enumerate(parts))


def closing(code: int | None = None, reason: bytes = b"") -> bytes:
    """A close."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)
