"""Cases 6: UTF-8. The series 6.5 to 6.23 are Markus Kuhn's decoder tests, as the Autobahn test suite numbers them."""

from __future__ import annotations

from .frames import TEXT, Case, fragmented, pieces, text

_WORD = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
_MIXED = "Hello-µ@ßöäüàá-UTF-8!!".encode()
_BAD = _WORD + b"\xed\xa0\x80" + b"edited"
_BEYOND = b"\xf4\x90\x80\x80"  # U+110000

VALID = [
    Case("6.1.1", text(b""), [(TEXT, b"")]),
    Case("6.1.2", pieces([b"", b"", b""]), [(TEXT, b"")]),
    Case("6.1.3", pieces([b"", b"middle frame payload", b""]), [(TEXT, b"middle frame payload")]),
    Case("6.2.1", text(_MIXED), [(TEXT, _MIXED)]),
    Case("6.2.2", pieces([_MIXED[:12], _MIXED[12:]]), [(TEXT, _MIXED)]),
    Case("6.2.3", fragmented(_MIXED, 1), [(TEXT, _MIXED)]),
    Case("6.2.4", fragmented(_WORD, 1), [(TEXT, _WORD)]),
]
INVALID = [
    Case("6.3.1", text(_BAD), close=1007),
    Case("6.3.2", fragmented(_BAD, 1), close=1007),
]
# The message never ends: it must be refused before its last fragment. In 6.4.3 and 6.4.4 the wrong byte comes within an
# unfinished frame; frames are judged whole, so these two are refused when the frame is (the suite calls that non-strict).
FAIL_FAST = [
    Case("6.4.1", pieces([_WORD, _BEYOND], finished=False), close=1007),
    Case("6.4.2", pieces([_WORD + _BEYOND[:1], _BEYOND[1:]], finished=False), close=1007),
    Case("6.4.2.a", pieces([_WORD, b"\xed", b"\xa0\x80"], finished=False), close=1007),
    Case("6.4.3", text(_WORD + _BEYOND + b"edited"), close=1007),
]


def _prefixes(word: bytes) -> list[bytes]:
    return [word[:length] for length in range(1, len(word) + 1)]


def _spaced(first: int, last: int) -> bytes:
    return b"".join(bytes((byte, 0x20)) for byte in range(first, last))


_INCOMPLETE = [
    *(b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80"),
    *(b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"),
]
_NON_CHARACTERS = [  # the last two code points of every plane
    *(b"\xef\xbf\xbe", b"\xef\xbf\xbf"),
    *(chr(plane * 0x10000 + 0xFFFE + last).encode() for plane in range(1, 17) for last in (0, 1)),
]
SERIES: dict[str, list[bytes]] = {
    "6.5": [b"hello\x24world", "hello¢world".encode(), "hello€world".encode(), "hello𤭢world".encode(), _WORD],
    "6.6": _prefixes(_WORD),
    "6.7": [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    "6.8": [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    "6.9": [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    "6.10": [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    "6.11": [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"],
    "6.12": [b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:length] for length in range(2, 7)), bytes(range(0x80, 0xBF))],
    "6.13": [_spaced(*of) for of in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))],
    "6.14": _INCOMPLETE,
    "6.15": [b"".join(_INCOMPLETE)],
    "6.16": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "6.17": [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"],
    "6.18": [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"],
    "6.19": [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"],
    "6.20": [
        b"\xed" + rest
        for rest in (b"\xa0\x80", b"\xad\xbf", b"\xae\x80", b"\xaf\xbf", b"\xb0\x80", b"\xbe\x80", b"\xbf\xbf")
    ],
    "6.21": [
        b"\xed" + high + b"\xed" + low
        for high in (b"\xa0\x80", b"\xad\xbf", b"\xae\x80", b"\xaf\xbf")
        for low in (b"\xb0\x80", b"\xbf\xbf")
    ],
    "6.22": _NON_CHARACTERS,
    "6.23": [chr(code).encode() for code in range(0xFFF9, 0x10000)],
}
ALL_VALID = {"6.5", "6.7", "6.9", "6.22", "6.23"}
ALL_INVALID = {"6.8", "6.10", *(f"6.{number}" for number in range(12, 22))}
# In these two some are valid: written down here, so that Python's decoder is not its own judge.
VALID_NUMBERS = {"6.6": {2, 5, 7, 9, 11}, "6.11": {1, 2, 3, 4}}


def _is_valid(series: str, number: int) -> bool:
    return series in ALL_VALID or number in VALID_NUMBERS.get(series, ())


DECODER = [
    Case(f"{series}.{number}", text(payload), [(TEXT, payload)])
    if _is_valid(series, number)
    else Case(f"{series}.{number}", text(payload), close=1007)
    for series, payloads in SERIES.items()
    for number, payload in enumerate(payloads, 1)
]
