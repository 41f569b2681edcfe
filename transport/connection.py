"""One socket of the connection table: what its machine and the fan-out write to, and what it does when it is ready.

Invariants:
- Bytes leave in the order of the calls. At most one write waits unsent because of `push`; `write` queues behind it, and
  all that waits is bounded by `max_unsent_bytes` and one write.
- Nothing here blocks, awaits, or raises for a peer's fault. A failed socket is aborted, and leaves the table, with its
  descriptor, at the end of a turn, never in the midst of one: so an event of this turn cannot meet a reused descriptor.
- A phase never goes back: OPEN, CLOSING (unsent bytes, then the peer's end), DEAD (to be buried by the table), GONE.
- A socket that is not watched for reading (paused, or the peer has ended) is aborted when the system calls it broken or
  hung up: both directions are lost then, and the level-triggered report would otherwise come again every turn.

Left out: turns, accepting, when timers are looked at (`table.py`); every protocol (the machines).
"""

import contextlib
import enum
import socket
import sys

from .ledger import Blockage, Ledger
from .poller import BROKEN, HUNG_UP, READABLE, WRITABLE
from .ports import Machine
from .wheel import Timed

# Where struct tcp_info of Linux 4.1 and later has tcpi_bytes_acked, a u64 in the machine's byte order.
_ACKED_START, _ACKED_END = 120, 128


class Phase(enum.Enum):
    """The life of a connection in a table."""

    OPEN = enum.auto()
    CLOSING = enum.auto()
    DEAD = enum.auto()
    GONE = enum.auto()


class Nobody:
    """The machine of a connection that has none: not yet, not any more, or because it was refused."""

    __slots__ = ()

    def received(self, data: bytes) -> None:
        """Do nothing, like every method of this class."""

    def again(self) -> None:
        """Do nothing."""

    def writable(self) -> None:
        """Do nothing."""

    def timeout(self) -> None:
        """Do nothing."""

    def stalled(self) -> None:
        """Do nothing."""

    def eof(self) -> None:
        """Do nothing."""

    def closed(self) -> None:
        """Do nothing."""


NOBODY = Nobody()


class TableConnection(Timed):
    """The `Connection` of `ports.py` on a socket of the table. Made by the table alone.

    Attributes:
        peer: the remote address; None where there is none (unix sockets).
        machine: who gets what arrives; may be replaced at any time.
        blocked: a write waits until the socket is writable.
    """

    __slots__ = (
        "_again_asked",
        "_drained_bytes",
        "_ended",
        "_events",
        "_fd",
        "_ledger",
        "_paused",
        "_phase",
        "_refuses",
        "_send",
        "_sock",
        "_unsent",
        "_unsent_bytes",
        "blocked",
        "machine",
        "peer",
    )

    def __init__(self, sock: socket.socket, peer: tuple[str, int] | None, ledger: Ledger) -> None:
        """Take over `sock`, connected and non-blocking. Raises OSError when the poller has no room for it."""
        super().__init__()
        self._sock = sock
        self._send = sock.send  # bound once: looking it up costs a tenth of what `push` adds to the system's own work
        self._fd = sock.fileno()
        self._ledger = ledger
        self._phase = Phase.OPEN
        self._refuses = False  # push has one question to ask: blocked, closing or dead
        self._paused = self._ended = self._again_asked = False
        self._drained_bytes = self._unsent_bytes = 0
        self._unsent: list[bytes] | None = None
        self._events = READABLE
        self.blocked = False
        self.machine: Machine = NOBODY
        self.peer = peer
        ledger.poller.register(self._fd, READABLE)
        ledger.connections[self._fd] = self

    @property
    def fd(self) -> int:
        """The descriptor, for logs."""
        return self._fd

    # -- what machines and the fan-out call

    def push(self, data: bytes) -> bool:
        """Send `data` now, or not at all.

        Returns:
            True when the connection has taken all of it: sent, or begun and the rest kept (`blocked` is set then). False
            when it has taken nothing: blocked, closing or dead. After False with `blocked`, `Machine.writable` follows.
        """
        if self._refuses:
            return False
        try:
            taken = self._send(data)
        except BlockingIOError:
            self._block()
            return False
        except OSError:
            self.abort()
            return False
        if taken != len(data):
            self._keep(data[taken:])
            self._block()
        return True

    def write(self, data: bytes) -> None:
        """Send `data`, now or behind what waits. Ignored once closing.

        More than `max_unsent_bytes` waiting already means that the peer asks without reading: it is cut off. One long
        answer is kept whole, whoever made it bounds it; how fast it is taken is for the stall time to judge.
        """
        if self.blocked and self._phase is Phase.OPEN:
            if self._unsent_bytes > self._ledger.settings.max_unsent_bytes:
                self._ledger.overflowed += 1
                self.abort()
                return
            self._keep(data)
        elif not self._refuses:
            try:
                taken = self._send(data)
            except BlockingIOError:
                taken = 0
            except OSError:
                self.abort()
                return
            if taken == len(data):
                return
            self._keep(data[taken:])
            self._block()

    def close(self) -> None:
        """Close once all unsent bytes have gone, at the latest after `linger_s`; no reading, push or write from now on.

        Input that still comes is thrown away: closing a socket with unread input resets the connection, and the reset
        destroys what the peer has not read yet.
        """
        if self._phase is not Phase.OPEN:
            return
        self._phase = Phase.CLOSING
        self._refuses = True
        ledger = self._ledger
        ledger.wheel.arm(self, ledger.clock() + ledger.settings.linger_s)
        if self._unsent is None:
            self._end_sending()
        else:
            ledger.blocked[self].reported = True  # the linger time bounds it now
            self._watch()

    def abort(self) -> None:
        """Close at the end of the turn, or soon when called from another task; unsent bytes are dropped."""
        if self._phase in (Phase.DEAD, Phase.GONE):
            return
        self._phase = Phase.DEAD
        self._refuses = True
        self._drop_unsent()
        self._ledger.dying.append(self)
        self._ledger.stir()

    def pause(self) -> None:
        """Read no more until `resume`, from this moment on; what comes stays with the system."""
        self._paused = True
        self._watch()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._watch()

    def again(self) -> None:
        """Have `Machine.again` called in the next turn, once however often asked."""
        if self._phase is Phase.OPEN and not self._again_asked:
            self._again_asked = True
            self._ledger.again.append(self)
            self._ledger.stir()

    def set_deadline(self, delay_s: float | None) -> None:
        """Have `Machine.timeout` called in `delay_s` seconds, or up to one tick later; replaces the deadline before.

        Args:
            delay_s: None for no deadline.
        """
        if self._phase is not Phase.OPEN:
            return
        ledger = self._ledger
        if delay_s is None:
            ledger.wheel.clear(self)
        else:
            ledger.wheel.arm(self, ledger.clock() + delay_s)

    def release(self) -> socket.socket:
        """Leave the table and hand the socket out; `Machine.closed` is not called.

        Raises:
            RuntimeError: bytes are unsent, or the connection is closing or dead.
        """
        if self._phase is not Phase.OPEN or self._unsent is not None:
            raise RuntimeError("only an open connection with nothing unsent can leave its table")
        self._leave()
        self._ledger.released += 1
        return self._sock

    # -- what the table calls

    def ready(self, events: int) -> None:
        """Serve what the poller reported: flush, then read once. May raise what the machine raises."""
        if events & WRITABLE and self.blocked:
            self._flush()
        if not events & ~WRITABLE:
            return
        if not self._events & READABLE:
            if events & (BROKEN | HUNG_UP):
                self.abort()
            return
        try:
            data = self._sock.recv(self._ledger.settings.recv_bytes)
        except BlockingIOError:
            if events & BROKEN:  # an error that reading does not fetch would be reported every turn
                self.abort()
        except OSError:
            self.abort()
        else:
            self._receive(data)

    def go_on(self) -> None:
        """Answer an earlier `again`. May raise what the machine raises."""
        self._again_asked = False
        if self._phase is Phase.OPEN:
            self.machine.again()

    def expire(self) -> None:
        """The deadline has passed. May raise what the machine raises."""
        if self._phase is Phase.OPEN:
            self.machine.timeout()
        elif self._phase is Phase.CLOSING:
            self.abort()

    def acked_bytes(self) -> int | None:
        """How many bytes the peer has taken since the connection began; None where the system cannot tell."""
        try:
            info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED_END)
        except OSError:
            return None
        return int.from_bytes(info[_ACKED_START:_ACKED_END], sys.byteorder) if len(info) == _ACKED_END else None

    def bury(self) -> Machine:
        """Leave the table for good, close the socket, and return the machine, to be told."""
        machine = self.machine
        self._drop_unsent()
        self._leave()
        self._ledger.closed += 1
        with contextlib.suppress(OSError):  # the descriptor is gone all the same
            self._sock.close()
        return machine

    # -- inside

    def _receive(self, data: bytes) -> None:
        if self._phase is Phase.OPEN:
            if data:
                self.machine.received(data)
            else:
                self._ended = True
                self._watch()
                self.machine.eof()
        else:
            self._ended = not data
            self._drained_bytes += len(data)
            if self._unsent is None and not self._drains():
                self.abort()
            else:
                self._watch()

    def _flush(self) -> None:
        unsent = self._unsent
        if unsent is None:  # a push was refused whole
            self._unblock()
            return
        data = unsent[0] if len(unsent) == 1 else b"".join(unsent)
        try:
            taken = self._send(data)
        except BlockingIOError:
            taken = 0
        except OSError:
            self.abort()
            return
        if taken == len(data):
            self._unblock()
            return
        self._unsent = [data[taken:]]
        self._unsent_bytes -= taken
        if taken:
            self._ledger.blocked[self] = Blockage(self._ledger.clock())

    def _keep(self, data: bytes) -> None:
        if self._unsent is None:
            self._unsent = [data]
        else:
            self._unsent.append(data)
        self._unsent_bytes += len(data)

    def _block(self) -> None:
        self.blocked = self._refuses = True
        self._ledger.blocked[self] = Blockage(self._ledger.clock())
        self._watch()

    def _unblock(self) -> None:
        self._drop_unsent()
        if self._phase is Phase.CLOSING:
            self._end_sending()
            return
        self._refuses = False
        self._watch()
        self.machine.writable()

    def _drop_unsent(self) -> None:
        self._unsent = None
        self._unsent_bytes = 0
        if self.blocked:
            self.blocked = False
            del self._ledger.blocked[self]

    def _end_sending(self) -> None:
        self._drop_unsent()
        if not self._drains():
            self.abort()
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort()
            return
        ledger = self._ledger
        ledger.wheel.shorten(self, ledger.clock() + ledger.settings.drain_s)
        self._watch()

    def _drains(self) -> bool:
        """Whether a closing connection reads on: until the peer's end (nothing unread is left then) or the bound."""
        return not self._ended and self._drained_bytes <= self._ledger.settings.drain_bytes

    def _watch(self) -> None:
        if self._phase is Phase.OPEN:
            reads = not self._paused and not self._ended
        elif self._phase is Phase.CLOSING:
            reads = self._drains()
        else:
            return
        events = (READABLE if reads else 0) | (WRITABLE if self.blocked else 0)
        if events != self._events:
            self._events = events
            self._ledger.poller.modify(self._fd, events)

    def _leave(self) -> None:
        ledger = self._ledger
        self._phase = Phase.GONE
        self._refuses = True
        if self.blocked:
            self._drop_unsent()
        self._events = 0
        ledger.wheel.forget(self)
        ledger.poller.unregister(self._fd)
        del ledger.connections[self._fd]
        ledger.uncount(self)
        self.machine = NOBODY  # the machine knows this connection: no cycle may be left to the collector
