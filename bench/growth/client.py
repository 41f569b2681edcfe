"""The client's side: WebSocket connections in one thread and one epoll, some listened to, most only drained.

All calls block until what they wait for has come, at most `PATIENCE_S`. Nothing is measured here but the server, so this side
may be simple; it is still cheap per byte, because 10,000 readers are drained by it. Pings are answered.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from .. import wire
from ..errors import BenchError
from ..server import Server

PATIENCE_S: Final = 60.0
_KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
_MASK: Final = b"\x11\x22\x33\x44"
_PONG: Final = wire.frame(b"{}", _MASK)
_PING: Final = b"\x81\x02{}"
_READ_BYTES: Final = 1 << 18
_OPENING: Final = 200
_COMMANDS_PER_FRAME: Final = 50


_document = msgspec.json.Decoder(wire.Document).decode


class Peer:
    """One connection.

    Attributes:
        received: bytes that came, pings aside; whoever waits for some may set it back.
        replies: to how many commands it had an answer.
        offset: where it stands in the room that it follows, while it is listened to: after the last page or push.
    """

    __slots__ = ("_inbox", "_listening", "_opened", "_outbox", "offset", "received", "replies", "sock")

    def __init__(self, address: tuple[str, int], hello: bytes) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = self.replies = self.offset = 0
        self._inbox = b""
        self._listening = True
        self._opened = False
        self._outbox = hello
        self.flush()

    def send(self, *documents: bytes) -> None:
        """Send commands, some to a frame."""
        for at in range(0, len(documents), _COMMANDS_PER_FRAME):
            self._outbox += wire.frame(b"\n".join(documents[at : at + _COMMANDS_PER_FRAME]), _MASK)
        self.flush()

    def flush(self) -> None:
        """Send what can be sent now."""
        if self._outbox:
            with contextlib.suppress(BlockingIOError):
                self._outbox = self._outbox[self.sock.send(self._outbox) :]

    @property
    def unsent(self) -> bool:
        """Whether something waits for room."""
        return bool(self._outbox)

    def deafen(self) -> None:
        """Only count bytes from now on."""
        self._listening = False

    def readable(self) -> int:
        """Read once; returns the bytes that count.

        Raises:
            BenchError: the connection ended, or a command was refused.
        """
        data = self.sock.recv(_READ_BYTES)
        if not data:
            raise BenchError("the server closed a connection")
        pings = data.count(_PING)
        if pings:
            self._outbox += _PONG * pings
            self.flush()
        size = len(data) - pings * len(_PING)
        self.received += size
        if self._listening:
            self._take(data)
        return size

    def _take(self, data: bytes) -> None:
        self._inbox += data
        if not self._opened:
            rest = wire.upgraded(self._inbox, _KEY)
            if rest is None:
                return
            self._inbox, self._opened = rest, True
        frames, end = wire.split(self._inbox)
        self._inbox = self._inbox[end:]
        for frame in frames:
            if frame.opcode != wire.TEXT:
                raise BenchError(f"the server ended a connection: {frame.body[2:].decode()}")
            for line in frame.body.split(b"\n"):
                self._hear(_document(line))

    def _hear(self, document: wire.Document) -> None:
        if document.error is not None:
            raise BenchError(f"a command was refused: {document.error.message}")
        self.replies += document.id > 0
        if document.subscribe is not None:
            self.offset = document.subscribe.offset
        elif document.push is not None and document.push.pub is not None:
            self.offset = document.push.pub.offset


class Crowd:
    """All connections to one server. Made by `crowd`, which closes them."""

    def __init__(self, server: Server, tokens: Sequence[str]) -> None:
        self._address = (server.host, server.port)
        self._upgrade = wire.upgrade(f"{server.host}:{server.port}", _KEY)
        self._tokens = tokens
        self._epoll = select.epoll()
        self._peers: dict[int, Peer] = {}
        self._busy: set[Peer] = set()
        self.received = 0

    def close(self) -> None:
        """Close every connection."""
        for peer in self._peers.values():
            peer.sock.close()
        self._epoll.close()

    def open(self, count: int, follow: Callable[[int], Sequence[str]]) -> list[Peer]:
        """Open connections, and wait until they follow their rooms.

        Args:
            follow: which rooms one follows, by its number within this call.
        """
        opened: list[Peer] = []
        while len(opened) < count:
            some: list[tuple[Peer, int]] = []
            for number in range(len(opened), min(count, len(opened) + _OPENING)):
                rooms = follow(number)
                some.append((self._open(rooms), 1 + len(rooms)))
            self.wait(lambda some=some: all(peer.replies >= wanted for peer, wanted in some))  # type: ignore[misc]
            opened.extend(peer for peer, _ in some)
        return opened

    def _open(self, rooms: Sequence[str]) -> Peer:
        token = self._tokens[len(self._peers) % len(self._tokens)]
        commands = [wire.connect(1, token), *(wire.subscribe(number, room) for number, room in enumerate(rooms, 2))]
        peer = Peer(self._address, self._upgrade)
        self._peers[peer.sock.fileno()] = peer
        self._epoll.register(peer.sock.fileno(), select.EPOLLIN)
        self.send(peer, *commands)
        return peer

    def send(self, peer: Peer, *documents: bytes) -> None:
        """Send commands over a connection; the rest leaves while something is waited for."""
        peer.send(*documents)
        if peer.unsent:
            self._busy.add(peer)

    def ask(self, peer: Peer, *documents: bytes) -> None:
        """Send commands, and wait for their replies."""
        wanted = peer.replies + len(documents)
        self.send(peer, *documents)
        self.wait(lambda: peer.replies >= wanted)

    def wait(self, until: Callable[[], bool]) -> None:
        """Read, until something is so.

        Raises:
            BenchError: it did not come to be within `PATIENCE_S`, or a connection ended.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            if time.monotonic() > deadline:
                raise BenchError("the server does not answer")
            self._turn(0.05)

    def idle(self, seconds: float) -> None:
        """Read for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._turn(left)

    def _turn(self, wait_s: float) -> None:
        for peer in list(self._busy):
            peer.flush()
            if not peer.unsent:
                self._busy.discard(peer)
        for fd, _ in self._epoll.poll(min(wait_s, 0.002) if self._busy else wait_s, 512):
            try:
                self.received += self._peers[fd].readable()
            except (OSError, wire.WireError) as error:
                raise BenchError(f"a connection failed: {error}") from error


@contextlib.contextmanager
def crowd(server: Server, tokens: Sequence[str]) -> Iterator[Crowd]:
    """Connections for the length of a `with` block."""
    made = Crowd(server, tokens)
    try:
        yield made
    finally:
        made.close()
