"""Cases 7, 9 and 10: closes, limits, a message fragmented by its sender. The limits are those of the real server."""

from __future__ import annotations

from .echo import MAX_MESSAGE_BYTES
from .frames import BINARY, CLOSE, PING, TEXT, Case, closing, fragmented, frame, text

_HELLO = b"Hello World!"
_BAD_REASON = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5" + b"\xed\xa0\x80edited"
_VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
_INVALID_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
_KIB = 1024

CLOSES = [
    Case("7.1.1", text(_HELLO) + closing(1000), [(TEXT, _HELLO)], echoes=1000),
    Case("7.1.2", closing(1000) + frame(CLOSE), echoes=1000),
    Case("7.1.3", closing(1000) + frame(PING), echoes=1000),
    Case("7.1.4", closing(1000) + text(_HELLO), echoes=1000),
    Case("7.1.5", frame(TEXT, b"fragment1", fin=False) + closing(1000) + frame(0, b"fragment2"), echoes=1000),
    Case("7.1.6", text(b"x" * 100 * _KIB) + closing(1000) + frame(PING), [(TEXT, b"x" * 100 * _KIB)], echoes=1000),
    Case("7.3.1", frame(CLOSE), echoes=1000),  # no code: 1005 is never sent, so the answer is a normal close
    Case("7.3.2", frame(CLOSE, b"a"), close=1002),
    Case("7.3.3", closing(1000), echoes=1000),
    Case("7.3.4", closing(1000, b"Hello World!"), echoes=1000),
    Case("7.3.5", closing(1000, b"*" * 123), echoes=1000),
    Case("7.3.6", closing(1000, b"*" * 124), close=1002),
    Case("7.5.1", closing(1000, _BAD_REASON), close=1007),
    *(Case(f"7.7.{at}", closing(code), echoes=code) for at, code in enumerate(_VALID_CODES, 1)),
    *(Case(f"7.9.{at}", closing(code), close=1002) for at, code in enumerate(_INVALID_CODES, 1)),
    Case("7.13.1", closing(5000), close=1002),
    Case("7.13.2", closing(65_535), close=1002),
]

# The suite's messages are of 64 KiB to 16 MiB, those in fragments of 4 MiB; ours end at 128 KiB, with 1009.
_TEXT_KIB = {"9.1.1": 64, "9.1.2": 256, "9.1.3": 1024, "9.1.4": 4096, "9.1.5": 8192, "9.1.6": 16_384}
_FRAGMENT_BYTES = (64, 256, 1024, 4096, 16_384, 65_536)
LIMITS = [
    *(
        Case(number, text(b"*" * kib * _KIB), [(TEXT, b"*" * kib * _KIB)])
        if kib * _KIB <= MAX_MESSAGE_BYTES
        else Case(number, text(b"*" * kib * _KIB)[:14], close=1009)  # refused on the head, the rest is never sent
        for number, kib in _TEXT_KIB.items()
    ),
    Case("9.1.a", text(b"*" * MAX_MESSAGE_BYTES), [(TEXT, b"*" * MAX_MESSAGE_BYTES)]),
    Case("9.1.b", text(b"*" * (MAX_MESSAGE_BYTES + 1))[:14], close=1009),
    Case("9.2.1", frame(BINARY, b"\xfe" * 64 * _KIB)[:14], close=1003),
    *(
        # 64 bytes each would be 2,048 fragments of the message, and 1,024 are allowed
        Case(f"9.3.{at}", fragmented(b"*" * MAX_MESSAGE_BYTES, size), close=1009)
        if MAX_MESSAGE_BYTES // size > 1_024
        else Case(f"9.3.{at}", fragmented(b"*" * MAX_MESSAGE_BYTES, size), [(TEXT, b"*" * MAX_MESSAGE_BYTES)])
        for at, size in enumerate(_FRAGMENT_BYTES, 1)
    ),
    Case("9.3.a", fragmented(b"*" * (MAX_MESSAGE_BYTES + 1), 16_384), close=1009),
    *(
        Case(f"9.7.{at}", text(b"*" * size) * 100, [(TEXT, b"*" * size)] * 100)
        for at, size in enumerate((0, 16, 64, 256, 1024, 4096), 1)
    ),
    Case("10.1.1", fragmented(b"*" * 65_536, 1_300), [(TEXT, b"*" * 65_536)]),
]
