"""An echo server for WebSocket conformance: the library's own handshake, frame reader and connection table, and nothing of chat.

`EchoMachine` is what `WebSocketConnection` is without the protocol above the frames: the same reader, the same answers to
pings, closes and violations, the same bounded number of events a turn. As a program it serves the Autobahn test suite:

    python tests/conformance/echo.py --port 9001 --max-message-bytes 16777216

It prints `ready at PORT` and runs until it is killed.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from hubbub.transport.http import HttpMachine
from hubbub.transport.http_message import RequestHead, encode
from hubbub.transport.http_route import Route, Upgrade
from hubbub.transport.http_settings import HttpSettings
from hubbub.transport.ports import Connection, Machine
from hubbub.transport.table import Table, TableSettings
from hubbub.transport.websocket import (
    Close,
    Event,
    FrameReader,
    Ping,
    Text,
    Violation,
    check_upgrade,
    close_frame,
    handshake_response,
    pong_frame,
    text_frame,
)

EVENTS_PER_TURN = 64
MAX_MESSAGE_BYTES = 128 * 1024
"""As the real server's."""


class EchoMachine:
    """Sends every text message back; everything else is as the real server does it."""

    def __init__(self, conn: Connection, head: RequestHead, max_message_bytes: int) -> None:
        self._conn = conn
        self._reader = FrameReader(max_message_bytes)
        self._ended = self._paused = False
        refusal = check_upgrade(head)
        if refusal is not None:
            self._end(encode(refusal, keep_alive=False))
        else:
            conn.write(handshake_response(head))

    def received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._go_on()

    def again(self) -> None:
        self._go_on()

    def writable(self) -> None:
        self._go_on()

    def stalled(self) -> None:
        self._conn.abort()

    def timeout(self) -> None: ...

    def eof(self) -> None:
        self._end(b"")

    def closed(self) -> None: ...

    def _go_on(self) -> None:
        for _ in range(EVENTS_PER_TURN):
            if self._ended:
                return
            if self._conn.blocked:  # `writable` goes on
                self._hold()
                return
            event = self._reader.next_event()
            if event is None:
                self._read_on()
                return
            self._handle(event)
        if not self._ended:
            self._hold()
            self._conn.again()

    def _handle(self, event: Event) -> None:
        match event:
            case Text(payload):
                self._conn.write(text_frame(payload))
            case Ping(payload):
                self._conn.write(pong_frame(payload))
            case Close(code, _):
                self._end(close_frame(code if code != 1005 else 1000))
            case Violation(code, reason):
                self._end(close_frame(code, reason))

    def _hold(self) -> None:
        if not self._paused:
            self._paused = True
            self._conn.pause()

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._conn.resume()

    def _end(self, last_words: bytes) -> None:
        self._ended = True
        self._conn.write(last_words)
        self._conn.close()


@asynccontextmanager
async def echo_server(
    port: int = 0, max_message_bytes: int = MAX_MESSAGE_BYTES, failures: list[Exception] | None = None
) -> AsyncIterator[tuple[Table, int]]:
    """A table that echoes, and its port. What its machines raise goes to `failures`."""
    table = Table(TableSettings(tick_s=0.05))

    def make(conn: Connection) -> Machine:
        def route(head: RequestHead, machine: HttpMachine) -> Route:
            return Upgrade(lambda conn, head: EchoMachine(conn, head, max_message_bytes))

        return HttpMachine(conn, route, HttpSettings(), (failures if failures is not None else []).append)

    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    port = listener.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(table.run)
        table.listen(listener, make)
        yield table, port
        nursery.cancel_scope.cancel()


async def _serve(port: int, max_message_bytes: int) -> None:
    async with echo_server(port, max_message_bytes) as (_, taken):
        print(f"ready at {taken}", flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--max-message-bytes", type=int, default=MAX_MESSAGE_BYTES)
    arguments = parser.parse_args()
    trio.run(_serve, arguments.port, arguments.max_message_bytes)
