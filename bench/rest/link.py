"""One keep-alive connection of the REST generator: at most one request in flight, its answer handed to who asked.

A link that the server ends, or that says what no server of ours may say, tells its owner once and is over.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Final, Protocol

import attrs

from ..wire import WireError
from .wire import Answer, Answers, Requests

RECV_BYTES: Final = 256 * 1024


@attrs.frozen
class Asked:
    """A request that is out.

    Attributes:
        answered: Gets its answer.
        what: The asker's own: the number of a post, or of a room.
        intended_ns: When it was meant to be sent.
    """

    answered: Callable[[Link, Asked, Answer], None]
    what: int
    intended_ns: int


class Owner(Protocol):
    """What a link needs of the generator."""

    def watch(self, link: Link, events: int) -> None:
        """Wait for these events of epoll."""

    def free(self, link: Link) -> None:
        """The link has no request in flight and may be asked."""

    def gone(self, link: Link, reason: str) -> None:
        """The link is over; its request, if there was one, gets no answer."""


class Link:
    """A connected socket and what is asked on it.

    Args:
        number: Of this connection, from 0.
        sock: Connected; the link owns it from now on.
        requests: Writes the requests of this link's user.
    """

    __slots__ = ("_answers", "_owner", "_unsent", "asked", "number", "over", "requests", "sock")

    def __init__(self, owner: Owner, number: int, sock: socket.socket, requests: Requests) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number: Final = number
        self.sock: Final = sock
        self.requests: Final = requests
        self.asked: Asked | None = None
        self.over = False
        self._owner: Final = owner
        self._answers: Final = Answers()
        self._unsent = b""
        owner.watch(self, select.EPOLLIN)
        owner.free(self)

    def ask(self, asked: Asked, request: bytes) -> None:
        """Send a request; nothing may be in flight."""
        assert self.asked is None, "one request at a time"
        self.asked = asked
        self._send(request)

    def writable(self) -> None:
        """The socket has room again."""
        unsent, self._unsent = self._unsent, b""
        self._owner.watch(self, select.EPOLLIN)
        self._send(unsent)

    def readable(self) -> None:
        """The socket has bytes, or its end."""
        try:
            data = self.sock.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self._end(exc.strerror or type(exc).__name__)
            return
        if not data:
            self._end("closed by the server")
            return
        try:
            answers = self._answers.feed(data)
            for answer in answers:
                self._take(answer)
        except WireError as exc:
            self._end(str(exc))

    def _take(self, answer: Answer) -> None:
        asked, self.asked = self.asked, None
        if asked is None:
            raise WireError("an answer that nobody asked for")
        asked.answered(self, asked, answer)
        if answer.closing:
            self._end("the server ended the connection with an answer")
        else:
            self._owner.free(self)

    def _send(self, data: bytes) -> None:
        try:
            taken = self.sock.send(data)
        except BlockingIOError:
            taken = 0
        except OSError as exc:
            self._end(exc.strerror or type(exc).__name__)
            return
        if taken < len(data):
            self._unsent = data[taken:]
            self._owner.watch(self, select.EPOLLIN | select.EPOLLOUT)

    def _end(self, reason: str) -> None:
        if not self.over:
            self.over = True
            self._owner.gone(self, reason)
