"""One connection of the generator: TCP, the dialect's handshake, then a reader or a poster.

A link owns its socket and reacts to what the epoll loop tells it; it never blocks. Order of its life: OPENING -> JOINING
-> LIVE -> CLOSED, forwards only. Unsent bytes are bounded by what a link may have outstanding: one command at a time for
a reader, `pace.MAX_UNANSWERED` posts for all posters together.
"""

from __future__ import annotations

import abc
import enum
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ..dialects import Answer, Closed, Dialect, Join, Joined, Pinged
from ..wire import Refusal, WireError
from .stream import Follower, Heard

READ_BYTES: Final = 64 * 1024  # more would be a fresh mmap for every read
_STALLED_BYTES: Final = 4096


class Phase(enum.Enum):
    """Where a link stands."""

    OPENING = enum.auto()
    JOINING = enum.auto()
    LIVE = enum.auto()
    CLOSED = enum.auto()


class Owner(Protocol):
    """What a link asks of the loop that holds it."""

    def watch(self, link: Link, events: int) -> None:
        """Tell the link about these epoll events from now on; 0: about none."""

    def joined(self, link: Link) -> None:
        """The link is LIVE."""

    def gone(self, link: Link, reason: str) -> None:
        """The link is CLOSED, its socket is not yet."""

    def answered(self, command_id: int, refusal: Refusal | None) -> None:
        """A command of a poster was answered."""


class Link(abc.ABC):
    """What readers and posters share."""

    __slots__ = ("_dialect", "_handshake", "_mask", "_outbox", "_owner", "noticed", "phase", "sock", "started_ns")

    def __init__(self, owner: Owner, dialect: Dialect, address: tuple[str, int], join: Join) -> None:
        self.started_ns: Final = time.monotonic_ns()
        self.phase = Phase.OPENING
        self.noticed = False  # whether the owner looks at what each read brought; most readers are only counted
        self._owner: Final = owner
        self._dialect: Final = dialect
        self._mask: Final = join.mask
        self._handshake = dialect.handshake(join)
        self._outbox = b""
        self.sock: Final = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
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
            self.phase = Phase.JOINING
            self._outbox = self._handshake.start()
        self.flush()

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
        except WireError as exc:
            self.end(str(exc))

    def end(self, reason: str) -> None:
        """Leave the loop; nothing is sent or read any more."""
        if self.phase is not Phase.CLOSED:
            self.phase = Phase.CLOSED
            self._owner.gone(self, reason)

    def stall(self) -> None:
        """Stop reading, for good; the connection stays open."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STALLED_BYTES)
        self._owner.watch(self, 0)

    def put(self, data: bytes) -> bool:
        """Add bytes to what `flush` sends; True: there were none before."""
        idle = not self._outbox
        self._outbox += data
        return idle

    def flush(self) -> None:
        """Send what the socket takes; the rest goes when it can take more."""
        if not self._outbox or self.phase is Phase.CLOSED:
            return
        try:
            sent = self.sock.send(self._outbox)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            self.end(exc.strerror or type(exc).__name__)
            return
        self._outbox = self._outbox[sent:]
        self._owner.watch(self, select.EPOLLIN | (select.EPOLLOUT if self._outbox else 0))

    def _send(self, data: bytes) -> None:
        if self.put(data):
            self.flush()

    def _joining(self, data: bytes) -> None:
        step = self._handshake.feed(data)
        if step.send:
            self._send(step.send)
        if step.joined is not None:
            self.phase = Phase.LIVE
            self._begin(step.joined)
            self._owner.joined(self)
            if step.joined.rest:
                self._live(step.joined.rest)

    @abc.abstractmethod
    def _begin(self, joined: Joined) -> None:
        """The handshake is over."""

    @abc.abstractmethod
    def _live(self, data: bytes) -> None:
        """Bytes after that."""

    def _hear(self, heard: Sequence[Heard]) -> None:
        for word in heard:
            match word:
                case Pinged(reply):
                    self._send(reply)
                case Closed(reason):
                    self.end(reason)


class Reader(Link):
    """Follows a room and hands every byte to its follower.

    Args:
        follow: Gives the follower once the offset is known.
    """

    __slots__ = ("_follow", "follower", "joined")

    def __init__(
        self,
        owner: Owner,
        dialect: Dialect,
        address: tuple[str, int],
        join: Join,
        follow: Callable[[Joined], Follower],
    ) -> None:
        self.follower: Follower | None = None
        self.joined: Joined | None = None
        self._follow: Final = follow
        super().__init__(owner, dialect, address, join)

    def _begin(self, joined: Joined) -> None:
        self.joined = joined
        self.follower = self._follow(joined)
        self.follower.joined(joined, self._mask)

    def _live(self, data: bytes) -> None:
        assert self.follower is not None
        heard = self.follower.received(data)
        if heard:
            self._hear(heard)


class Poster(Link):
    """Publishes, and tells the owner of every answer."""

    __slots__ = ("_inbox",)

    def __init__(self, owner: Owner, dialect: Dialect, address: tuple[str, int], join: Join) -> None:
        self._inbox = b""
        super().__init__(owner, dialect, address, join)

    def post(self, command_id: int, room: str, text: str, key: str) -> bool:
        """Add a post to what `flush` sends; True: there was nothing before."""
        return self.put(self._dialect.publish(command_id, room, text, key, self._mask))

    @property
    def mask(self) -> bytes:
        """The mask of this connection's frames."""
        return self._mask

    def _begin(self, joined: Joined) -> None:
        pass

    def _live(self, data: bytes) -> None:
        self._inbox += data
        frames, rest_at = self._dialect.split(self._inbox)
        self._inbox = self._inbox[rest_at:]
        for frame in frames:
            for word in self._dialect.words(frame, self._mask):
                match word:
                    case Answer(command_id, refusal):
                        self._owner.answered(command_id, refusal)
                    case Pinged() | Closed():
                        self._hear((word,))
