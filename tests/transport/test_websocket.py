"""Frames and handshake against RFC 6455, with wsproto's client as the judge."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import pairwise

import attrs
import pytest
import wsproto.events as ws_events
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection as FrameConnection

from hubbub.transport.http_message import RequestHead
from hubbub.transport.websocket import (
    MAX_FRAGMENTS,
    Close,
    Event,
    FrameReader,
    Part,
    Ping,
    Pong,
    Text,
    Violation,
    accept_key,
    check_upgrade,
    close_frame,
    handshake_response,
    pong_frame,
    text_frame,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def masked(first: int, payload: bytes, mask: bytes = b"\x01\xa2\x33\xfe") -> bytes:
    """One client frame, written naively."""
    length = len(payload)
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 65_536:
        head = bytes((first, 0x80 | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + length.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def read(chunks: Iterable[bytes], max_message_bytes: int = 131_072) -> list[Event]:
    """All events of a stream; parts of messages left out."""
    reader = FrameReader(max_message_bytes)
    found: list[Event] = []
    for chunk in chunks:
        reader.feed(chunk)
        while (event := reader.next_event()) is not None:
            if not isinstance(event, Part):
                found.append(event)
    return found


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Data in pieces; cuts are taken modulo its length."""
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in cuts)})
    return [data[start:end] for start, end in pairwise(at)]


@attrs.frozen
class Sent:
    """One message of a script: text times repeat, cut into fragments, each with a control frame in front or not."""

    text: str
    repeat: int
    cuts: list[int]
    controls: list[tuple[bool, bytes]]
    mask: bytes


def play(script: list[Sent], close_reason: str | None) -> tuple[bytes, list[Event]]:
    """The bytes of a script, and what they mean."""
    wire, events = b"", list[Event]()
    for sent in script:
        payload = sent.text.encode() * sent.repeat
        pieces = cut(payload, sent.cuts) or [b""]
        for number, piece in enumerate(pieces):
            if number < len(sent.controls):
                is_ping, data = sent.controls[number]
                wire += masked(0x89 if is_ping else 0x8A, data, sent.mask)
                events.append(Ping(data) if is_ping else Pong(data))
            wire += masked((0x80 if number == len(pieces) - 1 else 0) | (number == 0), piece, sent.mask)
        events.append(Text(payload))
    if close_reason is not None:
        wire += masked(0x88, (1000).to_bytes(2, "big") + close_reason.encode())
        events.append(Close(1000, close_reason))
    return wire, events


SCRIPTS = st.lists(
    st.builds(
        Sent,
        text=st.text(max_size=60),
        repeat=st.sampled_from([1, 1, 1, 5, 30, 500]),
        cuts=st.lists(st.integers(0, 150_000), max_size=3),
        controls=st.lists(st.tuples(st.booleans(), st.binary(max_size=125)), max_size=2),
        mask=st.binary(min_size=4, max_size=4),
    ),
    max_size=4,
)


@given(SCRIPTS, st.none() | st.text(max_size=30), st.lists(st.integers(0, 500_000), max_size=20))
def test_any_split_gives_the_same_events(script: list[Sent], close_reason: str | None, cuts: list[int]) -> None:
    """How the bytes were cut on the way does not matter."""
    wire, events = play(script, close_reason)
    assert read(cut(wire, cuts)) == events


@pytest.mark.parametrize(
    ("parts", "wrong"),
    [
        ([b"\xce\xba", b"\xf4\x90\x80\x80", b"ed"], 1),  # beyond U+10FFFF
        ([b"\xce\xba\xf4", b"\x90", b"\x80"], 1),  # the same, cut within the character
        ([b"\xe0", b"\x80", b"\x80"], 1),  # longer than need be
        ([b"ok", b"\xff", b"ok"], 1),
        ([b"\xed", b"\xa0\x80", b""], 1),  # a surrogate
        ([b"ok", b"\xce", b""], 2),  # begun and never ended
    ],
)
def test_text_that_is_not_utf8_is_refused_with_the_fragment_that_shows_it(parts: list[bytes], wrong: int) -> None:
    """A peer need not send the whole message to learn that it is wrong, and a cut character is not wrong yet."""
    reader = FrameReader()
    for number, part in enumerate(parts[: wrong + 1]):
        reader.feed(masked((0x80 if number == len(parts) - 1 else 0) | (number == 0), part))
        event = reader.next_event()
        assert event == (Violation(1007, "text is not UTF-8") if number == wrong else Part())


def test_a_message_in_many_frames_takes_as_many_steps() -> None:
    """Who calls a bounded number of times a turn does a bounded amount of work, however small the fragments are."""
    reader = FrameReader()
    reader.feed(masked(0x01, b"x") + masked(0x00, b"") * 500 + masked(0x80, b"y"))
    for _ in range(501):
        assert reader.next_event() == Part()
    assert reader.next_event() == Text(b"xy")
    assert reader.next_event() is None


def test_byte_by_byte() -> None:
    """A dribbled stream of every length form gives the same events."""
    wire = b"".join(masked(0x81, b"x" * length) for length in (0, 1, 125, 126, 1_499, 1_500, 65_535, 65_536))
    found = read(wire[at : at + 1] for at in range(len(wire)))
    assert [len(event.payload) for event in found if isinstance(event, Text)] == [
        *(0, 1, 125, 126, 1_499, 1_500, 65_535, 65_536)
    ]


@given(st.lists(st.tuples(st.sampled_from(["text", "part", "ping", "pong"]), st.text(max_size=300)), max_size=8))
def test_reads_what_wsproto_sends(script: list[tuple[str, str]]) -> None:
    """What wsproto's client sends is read as it was meant."""
    client = FrameConnection(ConnectionType.CLIENT)
    wire, expected, parts = b"", list[Event](), ""
    for kind, text in script:
        if kind in {"text", "part"}:
            wire += client.send(ws_events.TextMessage(data=text, message_finished=kind == "text"))
            parts += text
            if kind == "text":
                expected.append(Text(parts.encode()))
                parts = ""
        else:
            payload = text.encode()[:125]
            make = ws_events.Ping if kind == "ping" else ws_events.Pong
            wire += client.send(make(payload=payload))
            expected.append(Ping(payload) if kind == "ping" else Pong(payload))
    if not parts:
        wire += client.send(ws_events.CloseConnection(code=3001, reason="bye"))
        expected.append(Close(3001, "bye"))
    assert read([wire]) == expected


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_wsproto_reads_what_we_send(length: int) -> None:
    """Every length form of a text frame, and the control frames, are read by wsproto."""
    client = FrameConnection(ConnectionType.CLIENT)
    client.receive_data(text_frame(b"y" * length) + pong_frame(b"q") + close_frame(3008, "slow"))
    assert list(client.events()) == [
        ws_events.TextMessage(data="y" * length),
        ws_events.Pong(payload=b"q"),
        ws_events.CloseConnection(code=3008, reason="slow"),
    ]


def test_long_close_reason_is_cut_at_a_character() -> None:
    """A close frame stays a control frame, and its reason stays UTF-8."""
    frame = close_frame(3500, "\u00e9" * 100)
    assert len(frame) <= 127
    assert frame[4:].decode() == "\u00e9" * 61


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        pytest.param(masked(0xC1, b"a"), 1002, id="rsv1, compression not negotiated"),
        pytest.param(masked(0x91, b"a"), 1002, id="rsv3"),
        pytest.param(masked(0x83, b"a"), 1002, id="unknown data opcode"),
        pytest.param(masked(0x8B, b"a"), 1002, id="unknown control opcode"),
        pytest.param(b"\x81\x01a", 1002, id="unmasked"),
        pytest.param(b"\x81\x00", 1002, id="unmasked and empty"),
        pytest.param(masked(0x80, b"a"), 1002, id="continuation of nothing"),
        pytest.param(masked(0x01, b"a") + masked(0x81, b"b"), 1002, id="text inside text"),
        pytest.param(masked(0x09, b"a"), 1002, id="fragmented ping"),
        pytest.param(masked(0x89, b"a" * 126), 1002, id="long ping"),
        pytest.param(masked(0x88, b"a" * 126), 1002, id="long close"),
        pytest.param(masked(0x82, b"a"), 1003, id="binary"),
        pytest.param(masked(0x02, b"a"), 1003, id="binary fragment"),
        pytest.param(masked(0x81, b"\xff"), 1007, id="not UTF-8"),
        pytest.param(masked(0x81, b"\xed\xa0\x80"), 1007, id="surrogate"),
        pytest.param(masked(0x01, b"\xc3") + masked(0x80, b"x"), 1007, id="not UTF-8 over fragments"),
        pytest.param(masked(0x88, b"\x03"), 1002, id="close code of one byte"),
        pytest.param(masked(0x88, (1005).to_bytes(2, "big")), 1002, id="close code 1005"),
        pytest.param(masked(0x88, (999).to_bytes(2, "big")), 1002, id="close code 999"),
        pytest.param(masked(0x88, (2000).to_bytes(2, "big")), 1002, id="close code 2000"),
        pytest.param(masked(0x88, (5000).to_bytes(2, "big")), 1002, id="close code 5000"),
        pytest.param(masked(0x88, b"\x03\xe8\xff"), 1007, id="close reason not UTF-8"),
        pytest.param(b"\x81\xfe\x00\x7d", 1002, id="16-bit length not minimal"),
        pytest.param(b"\x81\xff" + (65_535).to_bytes(8, "big"), 1002, id="64-bit length not minimal"),
        pytest.param(b"\x81\xff" + b"\xff" * 8, 1002, id="top bit of the length"),
        pytest.param(b"\x81\xff" + (131_073).to_bytes(8, "big"), 1009, id="too big, by its head alone"),
        pytest.param(masked(0x01, b"a" * 131_072) + b"\x80\x81", 1009, id="too big over fragments"),
        pytest.param(masked(0x01, b"") + masked(0x00, b"") * MAX_FRAGMENTS, 1009, id="empty fragments without end"),
    ],
)
def test_violations(wire: bytes, code: int) -> None:
    """Each violation gives its close code, in one piece or byte by byte, and then nothing more."""
    after = masked(0x81, b"more")
    bytewise = [wire[at : at + 1] for at in range(len(wire))]
    halves = [[wire[:at], wire[at:] + after] for at in range(1, min(len(wire), 20))]
    for chunks in ([wire + after], [wire, after], [*bytewise, after], *halves):
        found = read(chunks)
        assert [event.close_code for event in found if isinstance(event, Violation)] == [code]
        assert len(found) == 1


def test_limit_holds_for_small_messages_too() -> None:
    """A limit under the length of a short frame is kept, and a message of exactly the limit passes."""
    assert read([masked(0x81, b"a" * 10)], 10) == [Text(b"a" * 10)]
    assert isinstance(read([masked(0x81, b"a" * 11)], 10)[0], Violation)


def test_close_without_code_and_nothing_after_close() -> None:
    """An empty close is 1005, and what follows a close is ignored."""
    assert read([masked(0x88, b"") + masked(0x81, b"x"), masked(0x81, b"y")]) == [Close(1005, "")]


def test_events_are_pulled() -> None:
    """What has not been asked for stays buffered while more is fed."""
    reader = FrameReader()
    reader.feed(masked(0x81, b"1") + masked(0x81, b"2") + masked(0x81, b"3")[:3])
    assert reader.next_event() == Text(b"1")
    reader.feed(masked(0x81, b"3")[3:] + masked(0x89, b"4"))
    assert [reader.next_event() for _ in range(4)] == [Text(b"2"), Text(b"3"), Ping(b"4"), None]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_never_raises(chunks: list[bytes]) -> None:
    """Whatever arrives, the reader says events or a violation."""
    found = read(chunks, 1_000)
    assert all(isinstance(event, (Text, Ping, Pong)) for event in found[:-1])


@given(st.binary(min_size=0, max_size=40), st.integers(0, 255), st.integers(0, 127))
def test_garbage_after_a_masked_head_never_raises(tail: bytes, first: int, length: int) -> None:
    """Frames that get past the mask check are no way to make it raise either."""
    read([bytes((first, 0x80 | length)) + tail])


def test_unmasking_agrees_with_the_definition() -> None:
    """Both ways to unmask, around their border, undo the mask."""
    for length in (*range(130), *range(1_490, 1_510), 4_099):
        payload, mask = os.urandom(length).hex().encode()[:length], os.urandom(4)
        assert read([masked(0x81, payload, mask)]) == [Text(payload)]


# Handshake


def head(method: str = "GET", version: str = "1.1", **changes: str | None) -> RequestHead:
    """The head of a handshake; keyword arguments change headers, None leaves one out."""
    headers: dict[str, str | None] = {
        "host": "x",
        "upgrade": "websocket",
        "connection": "keep-alive, Upgrade",
        "sec_websocket_version": "13",
        "sec_websocket_key": KEY.decode(),
        **changes,
    }
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items() if value is not None]
    upgrade = headers["upgrade"] is not None and "upgrade" in (headers["connection"] or "").lower()
    return RequestHead(
        method,
        b"/connection/websocket",
        "/connection/websocket",
        "",
        "1.1" if version == "1.1" else "1.0",
        tuple(pairs),
        dict(pairs),
        keep_alive=True,
        upgrade=upgrade,
        content_length=0,
        chunked=False,
    )


def test_accept_key_of_the_rfc() -> None:
    """The example of RFC 6455, section 1.3."""
    assert accept_key(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        (head(), None),
        (head(upgrade="WebSocket", connection="upgrade"), None),
        (head(sec_websocket_extensions="permessage-deflate"), None),
        (head("POST"), 405),
        (head(version="1.0"), 426),
        (head(upgrade=None), 426),
        (head(upgrade="h2c"), 426),
        (head(connection="keep-alive"), 426),
        (head(sec_websocket_version="8"), 426),
        (head(sec_websocket_version=None), 426),
        (head(sec_websocket_key=None), 400),
        (head(sec_websocket_key="AAAA"), 400),
        (head(sec_websocket_key="!" * 24), 400),
        (head(sec_websocket_key=KEY.decode() + ", " + KEY.decode()), 400),
        (head(sec_websocket_key="\u00e9" * 24), 400),
    ],
)
def test_check_upgrade(changed: RequestHead, status: int | None) -> None:
    """Only a whole handshake passes; the others get their status, and 426 says which version."""
    refusal = check_upgrade(changed)
    assert (refusal.status if refusal else None) == status
    if refusal and status == 426:
        assert ("sec-websocket-version", "13") in refusal.headers


@pytest.mark.parametrize(
    ("offered", "chosen"), [([], None), (["centrifuge-json"], "centrifuge-json"), (["centrifuge-protobuf"], None)]
)
def test_wsproto_accepts_the_handshake(offered: list[str], chosen: str | None) -> None:
    """A wsproto client is satisfied with our answer to its own request."""
    client = WSConnection(ConnectionType.CLIENT)
    request = client.send(ws_events.Request(host="x", target="/connection/websocket", subprotocols=offered))
    fields = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:] if line)
    sent = {name.decode().lower().replace("-", "_"): value.decode() for name, value in fields.items()}
    asked = head(**sent)
    assert check_upgrade(asked) is None
    client.receive_data(handshake_response(asked) + text_frame(b"hi"))
    accepted, message = list(client.events())
    assert isinstance(accepted, ws_events.AcceptConnection)
    assert accepted.subprotocol == chosen
    assert accepted.extensions == []
    assert message == ws_events.TextMessage(data="hi")
