"""The generator's epoll loop: which links are watched, what they are told, and the commands that come meanwhile.

No trio and no task per connection: the generator shares the machine with the server that it measures, so what it spends
is kept small, and reported. A turn reads at most `READY_PER_TURN` sockets, so that a post that is due waits for no more
than that.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Final

from .. import control
from .links import Link, Phase

READY_PER_TURN: Final = 256
PATIENCE_S: Final = 0.02
_COARSE_S: Final = 0.002  # epoll waits whole milliseconds; rounded up a post is late, rounded down the loop spins


class Loop:
    """Links by descriptor.

    Args:
        commands: Descriptor to read command lines from.
        reports: Descriptor to write report lines to.
        read: Called for a link that has something to read.
    """

    def __init__(self, commands: int, reports: int, read: Callable[[Link], None]) -> None:
        self._commands: Final = commands
        self._reports: Final = reports
        self._read: Final = read
        self._bytes = b""
        self._ended = False
        self._epoll: Final = select.epoll()
        self._epoll.register(commands, select.EPOLLIN)
        self._links: dict[int, Link] = {}
        self._watched: dict[int, int] = {}
        self._leaving: list[Link] = []

    def close(self) -> None:
        """Close every connection."""
        for link in self._links.values():
            link.sock.close()
        self._epoll.close()

    def watch(self, link: Link, events: int) -> None:
        """Tell a link about these events from now on; 0: about none, until told otherwise."""
        fd = link.sock.fileno()
        known = self._watched.get(fd)
        self._links[fd] = link
        self._watched[fd] = events
        if known is None:
            self._epoll.register(fd, events)
        elif known != events:
            self._change(fd, known, events)

    def _change(self, fd: int, known: int, events: int) -> None:
        if not events:
            self._epoll.unregister(fd)  # an event mask of 0 would still report errors and hang-ups, for ever
        elif not known:
            self._epoll.register(fd, events)
        else:
            self._epoll.modify(fd, events)

    def leave(self, link: Link) -> None:
        """Close the link's socket at the end of this turn."""
        self._leaving.append(link)

    def turn(self, wait_s: float) -> None:
        """Wait for something to do, at most this long, and do it."""
        if wait_s < _COARSE_S:
            select.select([self._epoll], [], [], max(0.0, wait_s))
            wait_s = 0.0
        for fd, events in self._epoll.poll(wait_s, READY_PER_TURN):
            link = self._links.get(fd)
            if link is None:
                if fd == self._commands:
                    self._read_commands()
                continue
            if events & select.EPOLLOUT:
                link.writable()
            if events & ~select.EPOLLOUT and link.phase is not Phase.CLOSED:
                self._read(link)
        for link in self._leaving:
            self._forget(link)
        self._leaving.clear()

    def _forget(self, link: Link) -> None:
        fd = link.sock.fileno()
        if self._watched.pop(fd):
            self._epoll.unregister(fd)
        del self._links[fd]
        link.sock.close()

    @property
    def ended(self) -> bool:
        """Whether no further command can come."""
        return self._ended

    def _read_commands(self) -> None:
        data = os.read(self._commands, 65536)
        self._bytes += data
        if not data:
            self._ended = True
            self._epoll.unregister(self._commands)

    def next_command(self, between: Callable[[], None]) -> control.Command | None:
        """The next command, and turns until it has come; None at the end of them.

        Args:
            between: Called after every turn.
        """
        while b"\n" not in self._bytes:
            if self._ended:
                return None
            self.turn(0.5)
            between()
        line, _, self._bytes = self._bytes.partition(b"\n")
        return control.read_command(line)

    def report(self, report: control.Report) -> None:
        """Write one report."""
        data = control.line(report)
        while data:
            data = data[os.write(self._reports, data) :]
