"""Connections of the harness on trio: HTTP calls, event streams and WebSockets, over plain sockets.

Plain, because the harness must know whether a connection ended, was cut, or was silent, and a library would retry or hide it.
Each of these ends in `Gone`, and the connection is then closed. Everything has a deadline: a half-open connection is silent.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Final, Self

import attrs
import trio

from .. import wire
from .protocol import Document, documents

CONNECT_S: Final = 5.0
ANSWER_S: Final = 15.0  # a server gives a post up after 10 s
SILENCE_S: Final = 45.0  # it shows life every 25 s
_READ_BYTES: Final = 64 * 1024
_MAX_BYTES: Final = 64 << 20
_RESET: Final = struct.pack("ii", 1, 0)


class Gone(Exception):
    """The connection could not be made, ended, or was silent for too long. What was asked may have happened."""


class Refused(Exception):
    """The server said no.

    Attributes:
        code: a problem's code, or the number of a WebSocket error.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@attrs.frozen
class Target:
    """Where clients connect, and as whom."""

    host: str
    port: int
    token: str = attrs.field(default="", repr=False)

    @property
    def netloc(self) -> str:
        """For the Host header."""
        return f"{self.host}:{self.port}"

    @property
    def authorization(self) -> str:
        """The header line that carries the token."""
        return f"Authorization: Bearer {self.token}\r\n" if self.token else ""


@attrs.frozen
class Answer:
    """A whole answer."""

    status: int
    body: bytes


@contextmanager
def _reaching(limit_s: float) -> Iterator[None]:
    try:
        with trio.fail_after(limit_s):
            yield
    except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError, OSError) as exc:
        raise Gone(str(exc) or type(exc).__name__) from exc
    except wire.WireError as exc:
        raise Gone(f"unreadable: {exc}") from exc


async def dial(target: Target) -> trio.SocketStream:
    """A connected socket.

    Raises:
        Gone: nobody answers.
    """
    with _reaching(CONNECT_S):
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            await sock.connect((target.host, target.port))
        except BaseException:
            sock.close()
            raise
        return trio.SocketStream(sock)


def abort(stream: trio.SocketStream) -> None:
    """Close at once with a reset, as a process that dies with unread input does."""
    if stream.socket.fileno() >= 0:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        stream.socket.close()


@attrs.define
class _Head:
    status: int
    length: int | None
    rest: bytes


async def _read_head(stream: trio.SocketStream) -> _Head:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some(_READ_BYTES)
        if not more:
            raise Gone("closed before an answer")
        data += more
        if len(data) > _MAX_BYTES:
            raise Gone("the head does not end")
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    length = fields.get(b"content-length", b"")
    parts = first.split(b" ")
    if len(parts) < 2 or not parts[1].isdigit():
        raise Gone("not an HTTP answer")
    return _Head(int(parts[1]), int(length) if length.isdigit() else None, rest)


class Http:
    """Calls one after the other over one connection, which is opened again when it is gone. For one task."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stream: trio.SocketStream | None = None

    async def call(self, method: str, path: str, body: bytes = b"", headers: str = "") -> Answer:
        """Ask once. `headers` are whole lines. Cancelled, it closes the connection.

        Raises:
            Gone: no whole answer.
        """
        request = (
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: {self._target.netloc}\r\n{self._target.authorization}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        ).encode()
        stream, self._stream = self._stream, None
        if stream is None:
            stream = await dial(self._target)
        try:
            with _reaching(ANSWER_S):
                await stream.send_all(request + body)
                answer = await self._answer(stream)
        except BaseException:
            abort(stream)
            raise
        self._stream = stream
        return answer

    @staticmethod
    async def _answer(stream: trio.SocketStream) -> Answer:
        head = await _read_head(stream)
        if head.status == HTTPStatus.NO_CONTENT:
            return Answer(head.status, b"")
        if head.length is None:
            raise Gone("an answer without a length")
        body = head.rest
        while len(body) < head.length:
            more = await stream.receive_some(_READ_BYTES)
            if not more:
                raise Gone("closed within an answer")
            body += more
        return Answer(head.status, body)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._stream is not None:
            abort(self._stream)
            self._stream = None


class EventStream:
    """An open event stream. Made by `open_events`."""

    def __init__(self, stream: trio.SocketStream, first: bytes) -> None:
        self._stream = stream
        self._first = first

    async def receive(self) -> bytes:
        """The next bytes.

        Raises:
            Gone: it ended, or showed no life.
        """
        data, self._first = self._first, b""
        if not data:
            with _reaching(SILENCE_S):
                data = bytes(await self._stream.receive_some(_READ_BYTES))
        if not data:
            raise Gone("the stream ended")
        return data


@asynccontextmanager
async def open_events(target: Target, conversation: str, after: int) -> AsyncIterator[EventStream]:
    """Follow a conversation after an offset. Leaving resets the connection.

    Raises:
        Gone: no answer.
        Refused: the answer is no stream; the code is the HTTP status.
    """
    stream = await dial(target)
    resume = f"Last-Event-ID: {after}\r\n" if after else ""
    path = f"/api/v1/conversations/{conversation}/events?after=0"
    try:
        with _reaching(ANSWER_S):
            await stream.send_all(
                f"GET {path} HTTP/1.1\r\nHost: {target.netloc}\r\n{target.authorization}{resume}\r\n".encode()
            )
            head = await _read_head(stream)
        if head.status != HTTPStatus.OK:
            raise Refused(str(head.status))
        yield EventStream(stream, head.rest)
    finally:
        abort(stream)


class WebSocket:
    """An authenticated connection, for one task. Made by `connect`; close it."""

    def __init__(self, stream: trio.SocketStream, first: bytes) -> None:
        self._stream = stream
        self._mask = os.urandom(4)
        self._data = first

    @classmethod
    async def connect(cls, target: Target) -> Self:
        """A connection that has authenticated, with command 1.

        Raises:
            Gone: it could not be made, or the server closed it.
            Refused: the token was not taken.
        """
        stream = await dial(target)
        try:
            with _reaching(ANSWER_S):
                key = base64.b64encode(os.urandom(16))
                await stream.send_all(wire.upgrade(target.netloc, key))
                data = b""
                while (rest := wire.upgraded(data, key)) is None:
                    more = await stream.receive_some(_READ_BYTES)
                    if not more:
                        raise Gone("closed before the upgrade")
                    data += more
            found = cls(stream, rest)
            await found.ask(1, wire.connect(1, target.token))
        except BaseException:
            abort(stream)
            raise
        return found

    def close(self) -> None:
        """Reset the connection, without a close frame."""
        abort(self._stream)

    async def send(self, body: bytes, opcode: int = wire.TEXT) -> None:
        """Send one frame.

        Raises:
            Gone: it cannot be sent.
        """
        with _reaching(ANSWER_S):
            await self._stream.send_all(wire.frame(body, self._mask, opcode))

    async def receive(self, limit_s: float = SILENCE_S) -> list[Document]:
        """The next documents, at least one. Pings are answered on the way.

        Raises:
            Gone: it ended, or nothing came within `limit_s`.
        """
        with _reaching(limit_s):
            while True:
                found: list[Document] = []
                frames, end = wire.split(self._data)
                self._data = self._data[end:]
                for frame in frames:
                    found += await self._take(frame)
                if found:
                    return found
                more = await self._stream.receive_some(_READ_BYTES)
                if not more:
                    raise Gone("closed by the server")
                self._data += more

    async def _take(self, frame: wire.Frame) -> list[Document]:
        match frame.opcode:
            case wire.TEXT if frame.body == wire.SERVER_PING:
                await self._stream.send_all(wire.frame(frame.body, self._mask))
            case wire.TEXT:
                return documents(frame.body)
            case wire.PING:
                await self._stream.send_all(wire.frame(frame.body, self._mask, wire.PONG))
            case wire.CLOSE:
                raise Gone(f"closed with {int.from_bytes(frame.body[:2], 'big')}")
        return []

    async def ask(self, command_id: int, command: bytes) -> Document:
        """Send a command and wait for its reply; whatever else comes meanwhile is dropped.

        Raises:
            Gone: no reply.
            Refused: an error reply.
        """
        await self.send(command)
        with _reaching(ANSWER_S):
            while True:
                for document in await self.receive(ANSWER_S):
                    if document.id == command_id:
                        if document.error is not None:
                            raise Refused(str(document.error.code))
                        return document
