"""The stream that Hypercorn reads and writes: a socket that left the connection table, and may go back to it.

Invariants:
- What was read before the socket came here is read first.
- The socket is let go of once: disposed of by `aclose`, closed by `abort`, given away by `take`. Whoever waits on it then
  wakes with an error, nothing is written any more, and the system's descriptor is watched by no task of trio.
- A reader that takes nothing for the stall time loses its connection, since Hypercorn writes where it cannot be cancelled.

`send_eof` and `aclose` have no checkpoint on purpose: Hypercorn calls one after the other from tasks that may be cancelled
already, and a checkpoint in the first would skip the second and leak the socket.

Left out: what the bytes mean.
"""

from __future__ import annotations

import fcntl
import socket
import sys
import termios
from collections.abc import Callable

import trio

from .tls_session import TlsFailed, TlsSession

_RECV_BYTES = 65_536
SEALED_BYTES = 65_536
"""So much is sealed at once: a long answer is not held twice."""
MAX_OWED_BYTES = 4_096
"""Answers of a TLS session that may wait for a write."""

Socket = socket.socket  # the stream has a property of the module's name


class ColdStream:
    """One connection of the cold lane.

    Args:
        sock: connected and non-blocking; owned from now on.
        raw: what was read from it already.
        stall_s: how long a write may wait for a reader that takes nothing.
        dispose: closes the socket, which it owns from then on, in a way that the last answer survives; with the TLS session
            that the socket carries, if any.
    """

    tls: TlsSession | None = None
    """The session that the socket carries; None for plain sockets."""

    def __init__(
        self, sock: Socket, raw: bytes, stall_s: float, dispose: Callable[[Socket, TlsSession | None], None]
    ) -> None:
        self.scope = trio.CancelScope()
        """Everything that serves this connection runs inside."""
        self.requests = 0
        """How many are being answered; whoever answers counts."""
        self.unused: Callable[[], bytes] = bytes
        """What was read and belongs to no request yet; whoever reads says so."""
        self.on_gone: Callable[[], None] | None = None
        """Called when the socket is let go of."""
        self._sock = sock
        self._raw = raw
        self._stall_s = stall_s
        self._dispose = dispose
        self._gone = False

    @property
    def socket(self) -> Socket:
        """The socket, to ask it for addresses."""
        return self._sock

    @property
    def gone(self) -> bool:
        """The socket has been let go of."""
        return self._gone

    # -- what Hypercorn calls

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Read what there is; b"" at the peer's end.

        Raises:
            trio.BrokenResourceError: the connection is lost.
            trio.ClosedResourceError: the socket has been let go of.
        """
        await trio.lowlevel.checkpoint()
        limit = max_bytes or _RECV_BYTES
        if self._raw:
            data, self._raw = self._raw[:limit], self._raw[limit:]
            return data
        return await self._receive(limit)

    async def send_all(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            trio.BrokenResourceError: the connection is lost, or the reader took nothing for the stall time.
            trio.ClosedResourceError: the socket has been let go of.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._send(data)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def send_eof(self) -> None:
        """Nothing to do: `aclose` follows, and it ends both directions in the right order."""

    async def aclose(self) -> None:
        """Dispose of the socket, once."""
        if not self._gone:
            self._dispose(self._let_go(), self.tls)

    # -- what the lane calls

    def abort(self) -> None:
        """Close the socket now, unless it has been let go of."""
        if not self._gone:
            self._let_go().close()

    def take(self) -> Socket:
        """Give the socket away.

        Raises:
            trio.ClosedResourceError: it has been let go of.
        """
        if self._gone:
            raise trio.ClosedResourceError("the socket has been let go of")
        return self._let_go()

    # -- inside

    def _let_go(self) -> Socket:
        self._gone = True
        self._raw = b""
        trio.lowlevel.notify_closing(self._sock)
        if self.on_gone is not None:
            self.on_gone()
        return self._sock

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if self._gone:
                raise trio.ClosedResourceError("the socket has been let go of")
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                await self._until_writable()
            except OSError as error:
                raise trio.BrokenResourceError("the connection is lost") from error

    async def _receive(self, limit: int) -> bytes:
        while not self._gone:
            try:
                return self._sock.recv(limit)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
            except OSError as error:
                raise trio.BrokenResourceError("the connection is lost") from error
        raise trio.ClosedResourceError("the socket has been let go of")

    async def _until_writable(self) -> None:
        """Wait for room. The system reports it late, a third of its buffer at a time, so the reader is judged by bytes."""
        while True:
            unread = _unread_bytes(self._sock)
            with trio.move_on_after(self._stall_s):
                await trio.lowlevel.wait_writable(self._sock)
                return
            if _unread_bytes(self._sock) == unread:
                self.abort()
                raise trio.BrokenResourceError("the reader takes nothing")


class TlsColdStream(ColdStream):
    """The same on a socket that carries TLS: plain bytes to Hypercorn, sealed ones to the peer.

    A session answers by itself where the peer changes its keys. Such answers wait for the next write, as many bytes of them as
    `MAX_OWED_BYTES`; who asks for more without reading is cut off.

    Args:
        tls: established.
    """

    tls: TlsSession

    def __init__(
        self,
        sock: Socket,
        raw: bytes,
        stall_s: float,
        dispose: Callable[[Socket, TlsSession | None], None],
        tls: TlsSession,
    ) -> None:
        super().__init__(sock, raw, stall_s, dispose)
        self.tls = tls
        self._owed = b""

    def take_owed(self) -> bytes:
        """What has to be sent before anything else, by whoever takes the socket."""
        owed, self._owed = self._owed, b""
        return owed

    async def _send(self, data: bytes) -> None:
        for start in range(0, len(data), SEALED_BYTES):
            try:
                sealed = self.tls.seal(data[start : start + SEALED_BYTES])
            except TlsFailed as error:
                raise trio.BrokenResourceError("the session is lost") from error
            await super()._send(self.take_owed() + sealed)

    async def _receive(self, limit: int) -> bytes:
        while not self.tls.ended:
            data = await super()._receive(limit)
            if not data:
                break
            try:
                plain = self.tls.open(data)
            except TlsFailed as error:
                self.abort()
                raise trio.BrokenResourceError("the peer has broken TLS") from error
            self._owed += self.tls.take()
            if len(self._owed) > MAX_OWED_BYTES:
                self.abort()
                raise trio.BrokenResourceError("the peer asks for new keys without end")
            if plain:
                return plain
        return b""


def _unread_bytes(sock: Socket) -> int:
    """How much was sent and not acknowledged by the peer's system."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
