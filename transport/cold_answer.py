"""A connection that is the answer to one request of HTTP/2: what a machine of the table writes there becomes its body.

An event stream cannot leave an HTTP/2 connection, which carries other requests. So its machine, the very one of the table, is
served here: it writes what it would write to a socket, a head of HTTP/1.1 and then the stream; its head becomes the answer's.

Invariants, as in the table (`connection.py`):
- At most one push waits, and what is written besides is bounded by `max_unsent_bytes`; the fan-out's cursor stays where it is
  until the answer is writable again, and then gives all there is, in one piece.
- A reader that takes nothing for the stall time is reported, and one that takes nothing while closing is cut off.
- `Machine.closed` is called once, at the end. An exception of the machine is ours: it ends this answer and is raised to the lane.

Left out: ASGI's peculiarities (`cold_calls`), HTTP/2 itself (`cold_http2`).
"""

from __future__ import annotations

import math
import socket
from collections.abc import Awaitable, Callable

import attrs
import trio
from attrs.validators import gt

from .connection import NOBODY
from .ports import Connection, Machine

_SLICE_BYTES = 16_384
"""So much is handed over at once: that a piece was taken is how a slow reader is told from one that has stopped."""
_ONE_CONNECTION = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
"""Fields that HTTP/2 has no use for (RFC 9113, section 8.2.2)."""

Start = Callable[[int, list[tuple[bytes, bytes]]], Awaitable[None]]
Send = Callable[[bytes, bool], Awaitable[None]]


@attrs.frozen(kw_only=True)
class AnswerSettings:
    """Bounds of one such answer; they follow those of the table.

    Attributes:
        max_unsent_bytes: most bytes that may wait when a control reply is added.
        stall_s: how long a reader may take no byte.
        linger_s: how long closing may take.
    """

    max_unsent_bytes: int = attrs.field(default=1 << 20, validator=gt(0))
    stall_s: float = attrs.field(default=20.0, validator=gt(0))
    linger_s: float = attrs.field(default=20.0, validator=gt(0))


class AnswerConnection:
    """A `Connection` whose bytes become the answer to one request.

    Args:
        peer: the address at the other end.
        settings: bounds.
    """

    def __init__(self, peer: tuple[str, int] | None, settings: AnswerSettings) -> None:
        self.machine: Machine = NOBODY
        self._peer = peer
        self._settings = settings
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._busy = self._closing = self._again_asked = False
        self._due_s = self._stalls_s = math.inf
        self._scope = trio.CancelScope()
        self._stirred = trio.Event()
        self._rearmed = trio.Event()

    # -- what machines and the fan-out call

    @property
    def peer(self) -> tuple[str, int] | None:
        """The remote address."""
        return self._peer

    @property
    def blocked(self) -> bool:
        """Something waits for the reader."""
        return self._busy

    def push(self, data: bytes) -> bool:
        """Send `data` now, or not at all; see `ports.Connection`."""
        if self._closing or self._busy:
            return False
        self._keep(data)
        return True

    def write(self, data: bytes) -> None:
        """Send `data`, now or behind what waits; see `ports.Connection`."""
        if self._closing or not data:
            return
        if self._unsent_bytes > self._settings.max_unsent_bytes:
            self.abort()
        else:
            self._keep(data)

    def close(self) -> None:
        """End the answer when all has gone, at the latest after the linger time."""
        if not self._closing:
            self._closing = True
            self._stall_at(math.inf)
            self._due_s = trio.current_time() + self._settings.linger_s
            self._rearm()
            self._stir()

    def abort(self) -> None:
        """End it now; what waits is dropped."""
        self._closing = True
        self._scope.cancel()

    def pause(self) -> None:
        """Nothing is read."""

    def resume(self) -> None:
        """Nothing is read."""

    def again(self) -> None:
        """Have `Machine.again` called soon."""
        self._again_asked = True
        self._stir()

    def set_deadline(self, delay_s: float | None) -> None:
        """Have `Machine.timeout` called in `delay_s` seconds."""
        if not self._closing:
            self._due_s = math.inf if delay_s is None else trio.current_time() + delay_s
            self._rearm()

    def release(self) -> socket.socket:
        """There is no socket to hand out.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("an answer of HTTP/2 has no socket of its own")

    # -- what the lane calls

    async def serve(
        self,
        make: Callable[[Connection], Machine],
        start: Start,
        send: Send,
        gone: Callable[[], Awaitable[None]],
    ) -> bool:
        """Serve a machine to its end.

        Args:
            make: makes it.
            start: sends status and headers.
            send: sends a piece of the body, and whether it is the last; returns when there is room for more.
            gone: returns when the peer has left.

        Returns:
            Whether the answer was sent to its end.
        """
        try:
            self.machine = make(self)
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_time)
                    nursery.start_soon(self._await_end, gone)
                    await self._carry(start, send)
                    nursery.cancel_scope.cancel()
        finally:
            self._closing = True
            machine, self.machine = self.machine, NOBODY
            machine.closed()
        return not self._scope.cancelled_caught

    # -- inside

    def _stall_at(self, when_s: float) -> None:
        """Judge the reader then."""
        self._stalls_s = when_s
        self._rearm()

    def _keep(self, data: bytes) -> None:
        self._busy = True
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()

    def _rearm(self) -> None:
        self._rearmed.set()

    async def _carry(self, start: Start, send: Send) -> None:
        """Hand over what is written, until closed."""
        rest = await self._head(start)
        while True:
            while rest:
                await self._send(rest, send)
                rest = self._take()
            if self._closing:
                await send(b"", True)
                return
            self._stall_at(math.inf)
            self._busy = False
            self.machine.writable()
            rest = await self._next()

    async def _head(self, start: Start) -> bytes:
        """Send the head that the machine writes first; what came along behind it."""
        written = b""
        while b"\r\n\r\n" not in written:
            piece = await self._next()
            if not piece:  # closed without a word
                await start(500, [])
                return b""
            written += piece
        head, _, rest = written.partition(b"\r\n\r\n")
        await start(*_parsed(head))
        return rest or self._take()

    async def _next(self) -> bytes:
        """What is written next; b"" when closed and there is nothing."""
        while not self._unsent and not self._closing:
            self._stirred = trio.Event()
            if self._again_asked:
                self._again_asked = False
                self.machine.again()
                await trio.lowlevel.checkpoint()
                continue
            await self._stirred.wait()
        return self._take()

    def _take(self) -> bytes:
        data = b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_bytes = 0
        return data

    async def _send(self, data: bytes, send: Send) -> None:
        for at in range(0, len(data), _SLICE_BYTES):
            if not self._closing:
                self._stall_at(trio.current_time() + self._settings.stall_s)
            await send(data[at : at + _SLICE_BYTES], False)

    async def _keep_time(self) -> None:
        while True:
            self._rearmed = trio.Event()
            with trio.move_on_at(min(self._due_s, self._stalls_s)):
                await self._rearmed.wait()
                continue
            if self._closing:
                self.abort()
            elif trio.current_time() >= self._stalls_s:
                self._stalls_s = math.inf
                self.machine.stalled()
            else:
                self._due_s = math.inf
                self.machine.timeout()

    async def _await_end(self, gone: Callable[[], Awaitable[None]]) -> None:
        await gone()
        self.machine.eof()
        self.abort()


def _parsed(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Status and headers of a head as machines write it."""
    status, *lines = head.split(b"\r\n")
    fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    return int(status.split(b" ", 2)[1]), [field for field in fields if field[0].lower() not in _ONE_CONNECTION]
