"""A TCP proxy that does to wires what networks do: cuts, delays, truncates, goes silent.

Each connection is a link with two pumps. Bytes stay in order; at most one chunk a direction is held, so a silent link pushes
back on its sender as a full network does. What is closed on one side is closed on the other, except where a fault forbids it.

    cut        what stands in a link's next chunk goes on up to a random byte, then both ends are reset
    truncate   while it lasts, links end politely (FIN) after a random number of bytes, new links too
    delay      while it lasts, each chunk waits
    silence    while it lasts nothing is forwarded, and no end is passed on; new links are accepted and as silent.
               Afterwards the silent links go on (`resume`), are given up by the near side (`give_up`), or stay silent
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Final

import attrs
import trio

from .client import abort

READ_BYTES: Final = 16 * 1024
_IDLE_CUT_S: Final = 0.3
_CUT_WITHIN_BYTES: Final = 300
_TRUNCATE_BYTES: Final = (1, 6000)
_DELAY_S: Final = 0.3
_POLITE_S: Final = 0.2
_BUSY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ECONNABORTED})

Dial = Callable[[], Awaitable[trio.SocketStream]]
_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


@attrs.define(eq=False)
class _Link:
    near: trio.SocketStream
    far: trio.SocketStream
    scope: trio.CancelScope
    budget_bytes: int | None = None
    abrupt: bool = False
    silent: trio.Event | None = None

    def end(self) -> None:
        self.scope.cancel()

    async def close(self) -> None:
        if self.abrupt:
            abort(self.near)
            abort(self.far)
            return
        with trio.move_on_after(_POLITE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_politely, self.near)
                nursery.start_soon(_end_politely, self.far)
        await trio.aclose_forcefully(self.near)
        await trio.aclose_forcefully(self.far)


async def _end_politely(stream: trio.SocketStream) -> None:
    """Say the end, then take what still comes: closing with unread input would be a reset."""
    with suppress(*_BROKEN):
        await stream.send_eof()
        while await stream.receive_some(READ_BYTES):
            pass


class Proxy:
    """A listening proxy. Made by `open_proxy`.

    Attributes:
        port: where it listens, on 127.0.0.1.
        touched: chunks and links that a fault did something to.
    """

    def __init__(self, listener: trio.SocketListener, dial: Dial) -> None:
        self.port: Final = int(listener.socket.getsockname()[1])
        self.touched = 0
        self._listener = listener
        self._dial = dial
        self._links: set[_Link] = set()
        self._rng = Random(0)
        self._delay_s = 0.0
        self._truncating = False
        self._silence: trio.Event | None = None

    @property
    def links(self) -> int:
        """Connections through it."""
        return len(self._links)

    def seed(self, rng: Random) -> None:
        """Draw from this generator from now on."""
        self._rng = rng

    # -- faults -----------------------------------------------------------------------------------------------------

    async def cut(self) -> int:
        """Reset every link that there is, within the bytes of its next chunk; gives how many."""
        links = list(self._links)
        for link in links:
            link.budget_bytes, link.abrupt = self._rng.randint(0, _CUT_WITHIN_BYTES), True
        await trio.sleep(_IDLE_CUT_S)
        for link in links:
            link.end()
        self.touched += len(links)
        return len(links)

    async def truncate(self, lasts_s: float) -> int:
        """End links after a few bytes while it lasts; gives how many links were there or came."""
        before = self.touched
        self._truncating = True
        for link in self._links:
            self._limit(link)
        try:
            await trio.sleep(lasts_s)
        finally:
            self._truncating = False
        for link in list(self._links):
            if link.budget_bytes is not None:
                link.end()
        return self.touched - before

    async def delay(self, lasts_s: float) -> int:
        """Hold every chunk up while it lasts; gives how many were."""
        before = self.touched
        self._delay_s = _DELAY_S
        try:
            await trio.sleep(lasts_s)
        finally:
            self._delay_s = 0.0
        return self.touched - before

    async def silence(self, lasts_s: float) -> int:
        """Forward nothing while it lasts; gives how many links were silent, and stay so until something else is said."""
        before = self.touched
        self._silence = trio.Event()
        for link in self._links:
            self._hush(link, self._silence)
        try:
            await trio.sleep(lasts_s)
        finally:
            self._silence = None
        return self.touched - before

    def resume(self) -> None:
        """Silent links go on where they stopped."""
        for link in self._links:
            if link.silent is not None:
                link.silent.set()
                link.silent = None

    def give_up(self) -> None:
        """The near ends of silent links are reset, as by peers that lost patience; the far ends are never told."""
        for link in self._links:
            if link.silent is not None:
                abort(link.near)

    def release(self) -> None:
        """End the links that are still silent, as hosts that come back do."""
        for link in list(self._links):
            if link.silent is not None:
                link.abrupt = True
                link.end()

    # -- at work ----------------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Accept until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    near = await self._listener.accept()
                except OSError as exc:
                    if exc.errno not in _BUSY:
                        raise
                    await trio.sleep(_IDLE_CUT_S)
                    continue
                nursery.start_soon(self._carry, near)

    async def _carry(self, near: trio.SocketStream) -> None:
        try:
            far = await self._dial()
        except _BROKEN:
            abort(near)
            return
        with suppress(*_BROKEN), trio.CancelScope() as scope:
            link = _Link(near, far, scope)
            self._links.add(link)
            if self._truncating:
                self._limit(link)
            if self._silence is not None:
                self._hush(link, self._silence)
            try:
                async with trio.open_nursery() as pumps:
                    pumps.start_soon(self._pump, link, near, far)
                    pumps.start_soon(self._pump, link, far, near)
            finally:
                self._links.discard(link)
                with trio.CancelScope(shield=True):
                    await link.close()

    def _limit(self, link: _Link) -> None:
        link.budget_bytes = self._rng.randint(*_TRUNCATE_BYTES)
        self.touched += 1

    def _hush(self, link: _Link, silence: trio.Event) -> None:
        link.silent = silence
        self.touched += 1

    async def _pump(self, link: _Link, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            while True:
                data = bytes(await source.receive_some(READ_BYTES))
                await self._hold_up(link)
                if not data:
                    link.end()  # both protocols end a connection as a whole
                    return
                await self._forward(link, sink, data)
        except _BROKEN:
            if link.silent is not None:
                await link.silent.wait()  # what a silent wire knows it keeps to itself
            link.abrupt = True
            link.end()

    async def _hold_up(self, link: _Link) -> None:
        while link.silent is not None:
            await link.silent.wait()
        if self._delay_s:
            self.touched += 1
            await trio.sleep(self._rng.uniform(0.0, self._delay_s))

    async def _forward(self, link: _Link, sink: trio.SocketStream, data: bytes) -> None:
        if link.budget_bytes is None:
            await sink.send_all(data)
            return
        part, link.budget_bytes = data[: link.budget_bytes], max(0, link.budget_bytes - len(data))
        if part:
            await sink.send_all(part)
        if link.budget_bytes == 0:
            if link.abrupt:
                await trio.sleep(0.01)  # a reset would overtake the part that was sent
            link.end()


@asynccontextmanager
async def open_proxy(dial: Dial) -> AsyncIterator[Proxy]:
    """A proxy on a free port of 127.0.0.1, whose links are ended when the block is left.

    Args:
        dial: connects to what is behind it.
    """
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=256)
    proxy = Proxy(listeners[0], dial)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(proxy.serve)
        try:
            yield proxy
        finally:
            nursery.cancel_scope.cancel()
            for listener in listeners:
                listener.socket.close()


def to_port(find: Callable[[], int]) -> Dial:
    """Dials a TCP port of 127.0.0.1, asked for at each connection."""

    async def dial() -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", find(), happy_eyeballs_delay=10)

    return dial


def to_unix(path: str) -> Dial:
    """Dials a unix socket."""

    async def dial() -> trio.SocketStream:
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            await sock.connect(path)
        except BaseException:
            sock.close()
            raise
        return trio.SocketStream(sock)

    return dial
