"""WebSocket frames, and the Centrifugal protocol from a client's frame to the reply, with an engine that answers at once."""

from __future__ import annotations

from typing import Final

from ...transport.centrifugal_settings import SocketSettings
from ...transport.centrifugal_websocket import WebSocketConnection
from ...transport.http_message import HeadReader, RequestHead
from ...transport.websocket import FrameReader, Part, Text, text_frame
from .. import wire
from .benchmark import Benchmark, Call
from .inputs import EPOCH, MASK, ROOM, TEXT, TOKEN, NullConnection, api, client_frame

_FRAGMENTS: Final = 4
_KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="


def _read(frame: bytes) -> Call:
    reader = FrameReader()

    def call() -> None:
        reader.feed(frame)
        assert type(reader.next_event()) is Text

    return call


def _read_fragments() -> Call:
    part = b"x" * 256
    frames = bytearray()
    for place in range(_FRAGMENTS):
        frame = bytearray(wire.frame(part, MASK))
        frame[0] = (0x80 if place == _FRAGMENTS - 1 else 0) | (0 if place else 1)
        frames += frame
    data = bytes(frames)
    reader = FrameReader()

    def call() -> None:
        reader.feed(data)
        for _ in range(_FRAGMENTS - 1):
            assert type(reader.next_event()) is Part
        assert type(reader.next_event()) is Text

    return call


def _write(size: int) -> Call:
    payload = b"x" * size
    return lambda: text_frame(payload)


def _upgrade_head() -> RequestHead:
    request = wire.upgrade("127.0.0.1:8000", _KEY)
    reader = HeadReader(100)
    reader.feed(request, is_last=True)
    return reader.head(request.partition(b"\r\n")[0])


def _opened() -> WebSocketConnection:
    connection = WebSocketConnection(NullConnection(), _upgrade_head(), api(), SocketSettings())
    connection.received(wire.frame(wire.connect(1, TOKEN), MASK))
    assert connection.client
    return connection


def _connect() -> Call:
    head, shared, settings = _upgrade_head(), api(), SocketSettings()
    command = wire.frame(wire.connect(1, TOKEN), MASK)

    def call() -> None:
        connection = WebSocketConnection(NullConnection(), head, shared, settings)
        connection.received(command)
        connection.closed()

    return call


def _subscribe(offset: int | None) -> Call:
    connection = _opened()
    request: dict[str, object] = {"channel": ROOM}
    if offset is not None:
        request |= {"recover": True, "offset": offset, "epoch": EPOCH}
    follow = client_frame({"id": 2, "subscribe": request})
    leave = client_frame({"id": 3, "unsubscribe": {"channel": ROOM}})

    def call() -> None:
        connection.received(follow)
        assert connection.session.following
        connection.received(leave)

    return call


def _publish(posts: int) -> Call:
    connection = _opened()
    bodies = [
        wire.publish(number, ROOM, TEXT, f"019aa5f4-7c1e-7b3a-9d2e-{number:012x}") for number in range(2, posts + 2)
    ]
    frame = wire.frame(b"\n".join(bodies), MASK)
    return lambda: connection.received(frame)


BENCHMARKS: Final = (
    Benchmark(
        name="frames/read",
        what="a masked frame of 60 bytes, whole",
        make=lambda: _read(wire.frame(b'{"id":7,"publish":{"channel":"r","data":{"text":"hello!"}}}', MASK)),
    ),
    Benchmark(
        name="frames/read-1k",
        what="a masked frame of 1 KiB",
        make=lambda: _read(wire.frame(b"x" * 1024, MASK)),
    ),
    Benchmark(
        name="frames/read-fragments", what=f"a message in {_FRAGMENTS} fragments of 256 bytes", make=_read_fragments
    ),
    Benchmark(name="frames/write", what="a server's frame of 60 bytes", make=lambda: _write(60)),
    Benchmark(name="frames/write-1k", what="a server's frame of 1 KiB", make=lambda: _write(1024)),
    Benchmark(name="centrifugal/connect", what="upgrade head and connect frame to the reply, and gone", make=_connect),
    Benchmark(
        name="centrifugal/subscribe",
        what="subscribe and unsubscribe, frames to replies",
        make=lambda: _subscribe(None),
    ),
    Benchmark(
        name="centrifugal/resume",
        what="the same, with 100 missed events in the reply",
        make=lambda: _subscribe(0),
    ),
    Benchmark(name="centrifugal/publish", what="a publish frame to its reply", make=lambda: _publish(1)),
    Benchmark(
        name="centrifugal/publish-many",
        what="a publish command of 10 in one frame",
        make=lambda: _publish(10),
        operations=10,
    ),
)
