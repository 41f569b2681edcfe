"""Which sockets are ready: the port of the connection table to the operating system, and its epoll.

The table uses sockets and a poller, nothing else of the system, so that a simulation can give it fakes of both.
Left out: what readiness means to a connection (`connection.py`), who waits and when (`table.py`).
"""

import os
import select
from typing import Final, Protocol

import trio

READABLE: Final = 0x001  # the values are those of epoll (EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP) on every Linux
WRITABLE: Final = 0x004
BROKEN: Final = 0x008
HUNG_UP: Final = 0x010


class Poller(Protocol):
    """Level-triggered readiness of descriptors. BROKEN and HUNG_UP are reported whether asked for or not."""

    def register(self, fd: int, events: int) -> None:
        """Watch `fd` for `events`. Raises OSError when the system has no room for it."""

    def modify(self, fd: int, events: int) -> None:
        """Watch `fd`, already registered, for `events` from now on."""

    def unregister(self, fd: int) -> None:
        """Watch `fd` no more; called before it is closed."""

    def poll(self, max_events: int) -> list[tuple[int, int]]:
        """Return at once at most `max_events` ready descriptors, each with its events.

        Descriptors that stay ready take turns when there are more of them. Descriptors nobody registered may be among
        them (the poller's own), and are to be ignored.
        """

    async def wait(self) -> None:
        """Return when `poll` would give something, or after `wake`. A checkpoint; cancelling it changes nothing."""

    def wake(self) -> None:
        """Make a waiting `wait`, or else the next one, return soon."""

    def close(self) -> None:
        """Free what the poller holds. The descriptors stay open: they are their owners'."""


class EpollPoller:
    """The real poller: an epoll of its own, whose descriptor trio waits for."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Edge-triggered: one write is one event, and nobody has to read the counter back to zero.
        self._epoll.register(self._wake_fd, select.EPOLLIN | select.EPOLLET)

    def register(self, fd: int, events: int) -> None:
        """See `Poller`."""
        self._epoll.register(fd, events)

    def modify(self, fd: int, events: int) -> None:
        """See `Poller`."""
        self._epoll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        """See `Poller`."""
        self._epoll.unregister(fd)

    def poll(self, max_events: int) -> list[tuple[int, int]]:
        """See `Poller`."""
        return self._epoll.poll(0, max_events)

    async def wait(self) -> None:
        """See `Poller`."""
        await trio.lowlevel.wait_readable(self._epoll.fileno())

    def wake(self) -> None:
        """See `Poller`."""
        os.eventfd_write(self._wake_fd, 1)

    def close(self) -> None:
        """See `Poller`."""
        if not self._epoll.closed:
            self._epoll.close()
            os.close(self._wake_fd)
