"""A server's side of the simulated network: its descriptors, its listening socket, and the poller over them.

They have the methods that the connection table uses of the system, and fail as the system does.
"""

from __future__ import annotations

import errno
import itertools
import socket
import sys
from collections import deque

import trio

from hubbub.transport.poller import HUNG_UP, READABLE, WRITABLE

from .network import Link


class ServerSocket:
    """The server's end, with the methods of a socket that the table uses."""

    family = socket.AF_UNIX  # no TCP options to set

    def __init__(self, host: Host, link: Link, fd: int) -> None:
        self._host = host
        self._link = link
        self._fd = fd
        self._closed = False

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def settimeout(self, seconds: float) -> None:
        """Non-blocking it is."""

    def ready(self) -> int:
        """What a poller would report."""
        link = self._link
        if link.broken:
            return READABLE | WRITABLE | HUNG_UP
        return (READABLE if link.up.inbox or link.up.ended else 0) | (WRITABLE if link.down.room else 0)

    def changed(self) -> None:
        """Something may have become ready."""
        if not self._closed:
            self._host.poller.look(self._fd)

    def recv(self, limit: int) -> bytes:
        """As `socket.recv`."""
        link = self._link
        if link.broken:
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        if link.up.inbox:
            return link.up.take(limit)
        if link.up.ended:
            return b""
        raise BlockingIOError

    def send(self, data: bytes) -> int:
        """As `socket.send`."""
        link = self._link
        if link.broken:
            raise BrokenPipeError(errno.EPIPE, "reset")
        taken = link.down.put(data)
        if data and not taken:
            raise BlockingIOError
        return taken

    def shutdown(self, how: int) -> None:
        """As `socket.shutdown`, for writing."""
        if self._link.broken:
            raise OSError(errno.ENOTCONN, "reset")
        self._link.down.end()

    def getsockopt(self, level: int, name: int, size: int) -> bytes:
        """TCP_INFO, as far as the table looks at it: how many bytes the peer's system has taken."""
        return bytes(size - 8) + self._link.down.delivered.to_bytes(8, sys.byteorder)

    def close(self) -> None:
        """As `socket.close`: with unread input the peer is reset."""
        if self._closed:
            return
        self._closed = True
        self._host.forget(self._fd)
        link = self._link
        if link.broken or link.lost:
            return
        if link.up.inbox and not link.up.ended:
            link.cut()
        elif not link.down.ended:
            link.down.end()


class SimPoller:
    """A level-triggered poller over the sockets of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._watched: dict[int, int] = {}
        self._stirred = trio.Event()
        self._turn = 0

    def register(self, fd: int, events: int) -> None:
        """See `Poller`."""
        self._watched[fd] = events
        self.look(fd)

    def modify(self, fd: int, events: int) -> None:
        """See `Poller`."""
        self._watched[fd] = events
        self.look(fd)

    def unregister(self, fd: int) -> None:
        """See `Poller`."""
        del self._watched[fd]

    def look(self, fd: int) -> None:
        """Wake who waits when this descriptor is ready for what it is watched for."""
        if self._ready(fd):
            self._stirred.set()

    def _ready(self, fd: int) -> int:
        watched = self._watched.get(fd)
        return 0 if watched is None else self._host.ready(fd) & (watched | HUNG_UP)

    def poll(self, max_events: int) -> list[tuple[int, int]]:
        """See `Poller`."""
        fds = list(self._watched)
        self._turn = (self._turn + 1) % (len(fds) or 1)
        found = [(fd, ready) for fd in fds[self._turn :] + fds[: self._turn] if (ready := self._ready(fd))]
        return found[:max_events]

    async def wait(self) -> None:
        """See `Poller`."""
        await self._stirred.wait()
        self._stirred = trio.Event()

    def wake(self) -> None:
        """See `Poller`."""
        self._stirred.set()

    def close(self) -> None:
        """See `Poller`."""
        self._watched.clear()


class Listener:
    """The listening socket of a host."""

    family = socket.AF_UNIX

    def __init__(self, host: Host, fd: int) -> None:
        self._host = host
        self._fd = fd
        self.waiting: deque[Link] = deque()
        self.closed = False

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def settimeout(self, seconds: float) -> None:
        """Non-blocking it is."""

    def accept(self) -> tuple[ServerSocket, tuple[str, int]]:
        """As `socket.accept`."""
        if not self.waiting:
            raise BlockingIOError
        link = self.waiting.popleft()
        return self._host.attach(link), ("10.0.0.1", 1024 + link.number)

    def close(self) -> None:
        """Refuse from now on."""
        self.closed = True
        self._host.forget(self._fd)
        while self.waiting:
            self.waiting.popleft().cut()


class Host:
    """One server process, as the network sees it."""

    def __init__(self) -> None:
        self._sockets: dict[int, ServerSocket | Listener] = {}
        self._links: list[Link] = []
        self.poller = SimPoller(self)
        self.listener = Listener(self, 3)
        self._sockets[3] = self.listener
        self.dead = False

    def attach(self, link: Link) -> ServerSocket:
        """Give an accepted link its socket, with the lowest free descriptor as systems do."""
        fd = next(number for number in itertools.count(4) if number not in self._sockets)
        link.server = self._sockets[fd] = ServerSocket(self, link, fd)
        self._links.append(link)
        return link.server

    def forget(self, fd: int) -> None:
        """A descriptor was closed."""
        self._sockets.pop(fd, None)

    def ready(self, fd: int) -> int:
        """What a descriptor is ready for."""
        found = self._sockets.get(fd)
        if isinstance(found, Listener):
            return READABLE if found.waiting else 0
        return 0 if found is None else found.ready()

    @property
    def listening(self) -> bool:
        """Connections are taken now."""
        return not (self.dead or self.listener.closed)

    def knock(self, link: Link) -> None:
        """A connection has come; nobody may be there any more."""
        if self.listening:
            self.listener.waiting.append(link)
            self.poller.look(self.listener.fileno())
        else:
            link.cut()

    @property
    def open_sockets(self) -> int:
        """Descriptors in use."""
        return len(self._sockets)

    def die(self, *, silently: bool) -> None:
        """The process is gone: its connections are reset, or (the machine is gone) fall silent."""
        self.dead = True
        for link in [*self._links, *self.listener.waiting]:
            if silently:
                link.lose()
            else:
                link.cut()
        self.listener.closed = True
