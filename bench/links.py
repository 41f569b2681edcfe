"""One connection of the generator: TCP, upgrade, connect, subscribe, then a reader or a poster.

A link owns its socket and reacts to what the epoll loop of `load.py` tells it; it never blocks. Order of its life:
OPENING -> UPGRADING -> JOINING -> LIVE -> CLOSED, forwards only. Unsent bytes are bounded by what a link may have
outstanding: one command at a time for a reader, `pace.MAX_UNANSWERED` posts for all posters together.
"""

from __future__ import annotations

import abc
import base64
import enum
import os
import select
import socket
import time
from collections.abc import Sequence
from typing import Final, Protocol

from . import wire
from .stream import Closed, Follower, Heard, Pinged

READ_BYTES: Final = 64 * 1024  # more would be a fresh mmap for every read


class Phase(enum.Enum):
    """Where a link stands."""

    OPENING = enum.auto()
    UPGRADING = enum.auto()
    JOINING = enum.auto()
    LIVE = enum.auto()
    CLOSED = enum.auto()


class Owner(Protocol):
    """What a link asks of the loop that holds it."""

    def watch(self, link: Link, events: int) -> None:
        """Tell the link about these epoll events from now on."""

    def joined(self, link: Link) -> None:
        """The link is LIVE."""

    def gone(self, link: Link, reason: str) -> None:
        """The link is CLOSED, its socket is not yet."""

    def follow(self, offset: int) -> Follower:
        """A new reader is live from after this offset."""

    def answered(self, number: int, intended_ns: int, refusal: wire.Refusal | None) -> None:
        """A post was answered."""


class Link(abc.ABC):
    """What readers and posters share."""

    __slots__ = ("_inbox", "_key", "_mask", "_outbox", "_owner", "_token", "phase", "sock", "started_ns")

    def __init__(self, owner: Owner, address: tuple[str, int], token: str) -> None:
        self.started_ns: Final = time.monotonic_ns()
        self.phase = Phase.OPENING
        self._owner: Final = owner
        self._token: Final = token
        self._key: Final = base64.b64encode(os.urandom(16))
        self._mask: Final = os.urandom(4)
        self._inbox = b""
        self._outbox = b""
        self.sock: Final = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(0)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex(address)
        owner.watch(self, select.EPOLLIN | select.EPOLLOUT)

    def writable(self) -> None:
        """The connection is made or has failed, or unsent bytes can go."""
        if self.phase is Phase.OPENING:
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.end(os.strerror(error))
                return
            host, port = self.sock.getpeername()
            self.phase = Phase.UPGRADING
            self._outbox = wire.upgrade(f"{host}:{port}", self._key)
        self._flush()

    def readable(self) -> None:
        """Read once and account for it."""
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self.end(exc.strerror or type(exc).__name__)
            return
        if not data:
            self.end("closed by the server")
            return
        try:
            if self.phase is Phase.LIVE:
                self._live(data)
            else:
                self._joining(data)
        except wire.WireError as exc:
            self.end(str(exc))

    def end(self, reason: str) -> None:
        """Leave the loop; nothing is sent or read any more."""
        if self.phase is not Phase.CLOSED:
            self.phase = Phase.CLOSED
            self._owner.gone(self, reason)

    def send(self, body: bytes, opcode: int = wire.TEXT) -> None:
        """Send one frame, now or when the socket can take it."""
        idle = not self._outbox
        self._outbox += wire.frame(body, self._mask, opcode)
        if idle:
            self._flush()

    def _flush(self) -> None:
        try:
            sent = self.sock.send(self._outbox)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            self.end(exc.strerror or type(exc).__name__)
            return
        self._outbox = self._outbox[sent:]
        self._owner.watch(self, select.EPOLLIN | (select.EPOLLOUT if self._outbox else 0))

    def _joining(self, data: bytes) -> None:
        self._inbox += data
        if self.phase is Phase.UPGRADING:
            rest = wire.upgraded(self._inbox, self._key)
            if rest is None:
                return
            self._inbox = rest
            self.phase = Phase.JOINING
            self.send(self._hello())
        while self.phase is Phase.JOINING:
            frames, _ = wire.split(self._inbox)
            if not frames:
                return
            self._inbox = self._inbox[frames[0].end :]
            if frames[0].opcode == wire.TEXT:
                self._welcome(wire.documents(frames[0].body))
            else:
                self.end("closed while joining")
        if self.phase is Phase.LIVE and self._inbox:
            data, self._inbox = self._inbox, b""
            self._live(data)

    def _joined(self) -> None:
        self.phase = Phase.LIVE
        self._owner.joined(self)

    @abc.abstractmethod
    def _hello(self) -> bytes:
        """The commands that follow the handshake."""

    @abc.abstractmethod
    def _welcome(self, documents: Sequence[wire.Document]) -> None:
        """The replies to them have come."""

    @abc.abstractmethod
    def _live(self, data: bytes) -> None:
        """Bytes after that."""

    def _answer(self, heard: Sequence[Heard]) -> None:
        for word in heard:
            match word:
                case Pinged(opcode, body):
                    self.send(body, opcode)
                case Closed(code, reason):
                    self.end(f"{code} {reason}")


def _refusal(documents: Sequence[wire.Document]) -> wire.Refusal | None:
    return next((document.error for document in documents if document.error), None)


class Reader(Link):
    """Subscribes to the room and hands every byte to its follower."""

    __slots__ = ("_room", "follower")

    def __init__(self, owner: Owner, address: tuple[str, int], token: str, room: str) -> None:
        self.follower: Follower | None = None
        self._room: Final = room
        super().__init__(owner, address, token)

    def _hello(self) -> bytes:
        return wire.connect(1, self._token) + b"\n" + wire.subscribe(2, self._room)

    def _welcome(self, documents: Sequence[wire.Document]) -> None:
        refusal = _refusal(documents)
        if refusal:
            self.end(f"{refusal.code} {refusal.message}")
            return
        at = next((i for i, document in enumerate(documents) if document.id == 2 and document.subscribe), None)
        if at is not None:
            subscribed = documents[at].subscribe
            assert subscribed is not None
            self.follower = self._owner.follow(subscribed.offset)
            self.follower.documents(documents[at + 1 :])
            self._joined()

    def _live(self, data: bytes) -> None:
        assert self.follower is not None
        heard = self.follower.received(data)
        if heard:
            self._answer(heard)


class Poster(Link):
    """Publishes; every reply is matched to its post by command id."""

    __slots__ = ("_room", "_run", "_unanswered")

    def __init__(self, owner: Owner, address: tuple[str, int], token: str, room: str, run: str) -> None:
        self._room: Final = room
        self._run: Final = run
        self._unanswered: dict[int, tuple[int, int]] = {}
        super().__init__(owner, address, token)

    def post(self, number: int, intended_ns: int, text: str) -> None:
        """Send a post; the owner hears of its answer."""
        command_id = number + 2  # 1 was the connect command
        self._unanswered[command_id] = (number, intended_ns)
        self.send(wire.publish(command_id, self._room, text, f"{self._run}-{number}"))

    def _hello(self) -> bytes:
        return wire.connect(1, self._token)

    def _welcome(self, documents: Sequence[wire.Document]) -> None:
        refusal = _refusal(documents)
        if refusal:
            self.end(f"{refusal.code} {refusal.message}")
        elif any(document.id == 1 for document in documents):
            self._joined()

    def _live(self, data: bytes) -> None:
        self._inbox += data
        frames, rest_at = wire.split(self._inbox)
        self._inbox = self._inbox[rest_at:]
        for frame in frames:
            if frame.opcode == wire.TEXT:
                if frame.body == wire.SERVER_PING:
                    self.send(wire.SERVER_PING)
                else:
                    self._replies(wire.documents(frame.body))
            elif frame.opcode == wire.PING:
                self.send(frame.body, wire.PONG)
            elif frame.opcode == wire.CLOSE:
                self.end(f"{int.from_bytes(frame.body[:2], 'big')} {frame.body[2:].decode(errors='replace')}")

    def _replies(self, documents: Sequence[wire.Document]) -> None:
        for document in documents:
            post = self._unanswered.pop(document.id, None)
            if post is not None:
                self._owner.answered(*post, document.error)
