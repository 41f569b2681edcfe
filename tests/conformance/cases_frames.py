"""Cases 1 to 5: framing, pings and pongs, reserved bits, opcodes, fragmentation."""

from __future__ import annotations

from .frames import BINARY, PING, PONG, TEXT, Case, closing, fragmented, frame, pieces, text

HELLO = b"Hello, world!"
BYTES = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
_SIZES = (0, 125, 126, 127, 128, 65_535, 65_536)


def _echo(number: str, payload: bytes) -> Case:
    return Case(number, text(payload), [(TEXT, payload)])


FRAMING = [
    *(_echo(f"1.1.{at}", b"*" * size) for at, size in enumerate(_SIZES, 1)),
    *(Case(f"1.2.{at}", frame(BINARY, b"\xfe" * size), close=1003) for at, size in enumerate(_SIZES, 1)),
]

PINGS = [
    Case("2.1", frame(PING), [(PONG, b"")]),
    Case("2.2", frame(PING, HELLO), [(PONG, HELLO)]),
    Case("2.3", frame(PING, BYTES), [(PONG, BYTES)]),
    Case("2.4", frame(PING, b"\xfe" * 125), [(PONG, b"\xfe" * 125)]),
    Case("2.5", frame(PING, b"\xfe" * 126), close=1002),
    Case("2.7", frame(PONG)),
    Case("2.8", frame(PONG, b"unsolicited pong payload")),
    Case("2.9", frame(PONG, b"unsolicited") + frame(PING, b"ping payload"), [(PONG, b"ping payload")]),
    Case(
        "2.10",
        b"".join(frame(PING, b"payload-%d" % at) for at in range(10)),
        [(PONG, b"payload-%d" % at) for at in range(10)],
    ),
]

RESERVED = [
    Case("3.1", frame(TEXT, HELLO, rsv=1), close=1002),
    Case("3.2", text(HELLO) + frame(TEXT, HELLO, rsv=2) + frame(PING), [(TEXT, HELLO)], 1002),
    Case("3.3", text(HELLO) + frame(TEXT, HELLO, rsv=3) + frame(PING), [(TEXT, HELLO)], 1002),
    Case("3.4", text(HELLO) + frame(TEXT, HELLO, rsv=4) + frame(PING), [(TEXT, HELLO)], 1002),
    Case("3.5", frame(BINARY, BYTES, rsv=5), close=1002),
    Case("3.6", frame(PING, HELLO, rsv=6), close=1002),
    Case("3.7", frame(0x8, b"\x03\xe8", rsv=7), close=1002),
]

_FIRST_TWO = {
    "4.1.1": frame(3),
    "4.1.2": frame(4, b"reserved opcode payload"),
    "4.2.1": frame(11),
    "4.2.2": frame(12, b"reserved opcode payload"),
}
_BEHIND_TEXT = {
    "4.1.3": frame(5),
    "4.1.4": frame(6, HELLO),
    "4.1.5": frame(7, HELLO),
    "4.2.3": frame(13),
    "4.2.4": frame(14, HELLO),
    "4.2.5": frame(15, HELLO),
}
OPCODES = [
    *(Case(number, sent, close=1002) for number, sent in _FIRST_TWO.items()),
    *(Case(number, text(HELLO) + sent + frame(PING), [(TEXT, HELLO)], 1002) for number, sent in _BEHIND_TEXT.items()),
]

_PARTS = [b"fragment1", b"fragment2", b"fragment3", b"fragment4", b"fragment5"]
_TWO = _PARTS[:2]
_STRAY = b"non-continuation payload"
_MIXED = (
    pieces(_PARTS[:2], finished=False)
    + frame(PING, b"pongme 1!")
    + frame(0, _PARTS[2], fin=False)
    + frame(0, _PARTS[3], fin=False)
    + frame(PING, b"pongme 2!")
    + frame(0, _PARTS[4])
)
FRAGMENTS = [
    Case("5.1", pieces(_TWO, PING), close=1002),
    Case("5.2", pieces(_TWO, PONG), close=1002),
    Case("5.3", pieces(_TWO), [(TEXT, b"".join(_TWO))]),
    Case(
        "5.6",
        frame(TEXT, _TWO[0], fin=False) + frame(PING, b"ping payload") + frame(0, _TWO[1]),
        [(PONG, b"ping payload"), (TEXT, b"".join(_TWO))],
    ),
    Case("5.9", frame(0, _STRAY) + text(HELLO), close=1002),
    Case("5.12", frame(0, _STRAY, fin=False) + text(HELLO), close=1002),
    Case(
        "5.15",
        pieces(_TWO) + frame(0, _PARTS[2], fin=False) + text(_PARTS[3]),
        [(TEXT, b"".join(_TWO))],
        1002,
    ),
    Case("5.16", (frame(0, _PARTS[0], fin=False) + pieces(_PARTS[1:3])) * 2, close=1002),
    Case("5.17", (frame(0, _PARTS[0]) + pieces(_PARTS[1:3])) * 2, close=1002),
    Case("5.18", frame(TEXT, _TWO[0], fin=False) + text(_TWO[1]), close=1002),
    Case(
        "5.19",
        _MIXED,
        [(PONG, b"pongme 1!"), (PONG, b"pongme 2!"), (TEXT, b"".join(_PARTS))],
    ),
]

# Not numbered there, and asked for by RFC 6455 all the same.
OURS = [
    Case("5.1.a", frame(TEXT, HELLO, mask=None), close=1002),  # section 5.1: a client's frame is masked
    Case("5.2.a", b"\x81\xfe\x00\x05" + bytes(4) + b"hello", close=1002),  # section 5.2: the shortest form of a length
    Case("5.2.b", b"\x81\xff" + (200).to_bytes(8, "big") + bytes(4) + b"x" * 200, close=1002),
    Case("5.2.c", b"\x81\xff" + (1 << 63).to_bytes(8, "big") + bytes(4), close=1002),
    Case("5.4.a", frame(TEXT, b"a", fin=False) + closing(1000), echoes=1000),  # section 5.4: a close within a message
    Case("5.4.b", frame(BINARY, b"a", fin=False) + frame(0, b"b"), close=1003),
    Case("5.5.a", frame(0x8, b"\x03\xe8", fin=False), close=1002),  # section 5.5: control frames are not fragmented
    Case("5.6.a", fragmented(HELLO, 1) * 20, [(TEXT, HELLO)] * 20),
]
