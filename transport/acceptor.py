"""Accepting: the listeners of a connection table, how many it takes at a time, and what those over its limit are told.

Invariants:
- Sockets are accepted when the table says so, which is at the end of a turn only: an event of the turn never meets a reused
  descriptor.
- Bounded: accepts a turn, and their time; connections, in all and of one address (`Gate`); refusals under way. Who is over the
  last is closed with no ceremony.
- A listener that cannot be served because the system has no room rests for `accept_pause_s`, and one line is logged.

Left out: what is done with a connection (`connection.py`), the turns (`table.py`).
"""

import errno
import socket
from collections.abc import Callable

import attrs

from ..engine.log import get_logger
from .connection import TableConnection
from .ledger import TOO_MANY, Ledger, TableSettings
from .poller import READABLE
from .ports import Connection, Machine

log = get_logger("hubbub.transport.acceptor")

MakeMachine = Callable[[Connection], Machine]

# Errors of the one connection that accept was to return (man 2 accept); the next may be well.
_LOST_ON_ACCEPT = frozenset(
    {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.EHOSTUNREACH}
    | {errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EPERM, errno.EINTR}
)


@attrs.define
class _Listener:
    sock: socket.socket
    make_machine: MakeMachine
    paused_until_s: float | None = None
    warned: bool = False
    closed: bool = False


class Acceptor:
    """The listeners of one table.

    Args:
        ledger: the table's.
        equip: gives a new connection its machine; a machine's bug goes no further than that.

    Attributes:
        accepted: sockets accepted, refused ones left out.
        refused: sockets over the limit.
        turned_away: refused connections that are not closed yet.
    """

    __slots__ = ("_equip", "_knocking", "_ledger", "_listeners", "accepted", "refused", "turned_away")

    def __init__(self, ledger: Ledger, equip: Callable[[TableConnection, MakeMachine], None]) -> None:
        self._ledger = ledger
        self._equip = equip
        self._listeners: dict[int, _Listener] = {}
        self._knocking: list[_Listener] = []
        self.accepted = self.refused = 0
        self.turned_away: set[TableConnection] = set()

    def listen(self, sock: socket.socket, make_machine: MakeMachine) -> None:
        """Take over a listening socket; it is made non-blocking."""
        sock.settimeout(0)
        tune(sock, self._ledger.settings)  # accepted sockets inherit it, which saves two calls each
        self._listeners[sock.fileno()] = _Listener(sock, make_machine)
        self._ledger.poller.register(sock.fileno(), READABLE)

    def stop(self) -> None:
        """Close the listeners."""
        for fd, listener in self._listeners.items():
            self._ledger.poller.unregister(fd)
            listener.sock.close()
            listener.closed = True
        self._listeners.clear()
        self._knocking.clear()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits to be accepted."""
        return bool(self._knocking)

    def knock(self, fd: int) -> None:
        """The poller has reported a descriptor that is no connection's; it may be a listener's."""
        listener = self._listeners.get(fd)
        if listener is not None:
            self._knocking.append(listener)

    def accept_all(self, until_s: float) -> None:
        """Accept a bounded number, for a bounded time; the poller reports who still waits."""
        knocking, self._knocking = self._knocking, []
        budget, clock = self._ledger.settings.accepts_per_turn, self._ledger.clock
        for listener in knocking:
            while budget and not listener.closed and self._accept(listener):
                budget = budget - 1 if clock() < until_s else 0

    def reopen(self) -> None:
        """Look again at the listeners that have rested long enough."""
        now_s = self._ledger.clock()
        for fd, listener in self._listeners.items():
            if listener.paused_until_s is not None and listener.paused_until_s <= now_s:
                listener.paused_until_s = None
                self._ledger.poller.modify(fd, READABLE)

    def _accept(self, listener: _Listener) -> bool:
        """Accept one connection; False when there is none, or when no more should be tried now."""
        try:
            sock, address = listener.sock.accept()
        except BlockingIOError:
            listener.warned = False  # nobody waits any more: the shortage, if there was one, is over
            return False
        except OSError as exc:
            if exc.errno in _LOST_ON_ACCEPT:
                return True
            self._pause(listener, exc)
            return False
        sock.settimeout(0)
        peer = peer_of(address)
        refusal, counted = self._judge(peer)
        if refusal is not None and not self._may_refuse_gently(refusal):
            self.refused += 1
            sock.close()
            return True
        try:
            conn = TableConnection(sock, peer, self._ledger)
        except OSError as exc:  # the poller is out of room
            sock.close()
            self._give_back(counted)
            self._pause(listener, exc)
            return False
        if refusal is not None:
            self._refuse(conn, refusal)
        else:
            if counted is not None:
                self._ledger.counted[conn] = counted
            self.accepted += 1
            self._equip(conn, listener.make_machine)
        return True

    def _judge(self, peer: tuple[str, int] | None) -> tuple[bytes | None, str | None]:
        """What a socket is told that may not stay, None for one that may; and what the gate has counted it by."""
        ledger = self._ledger
        if len(ledger.connections) - len(self.turned_away) >= ledger.settings.max_connections:
            return ledger.settings.refusal, None
        if ledger.gate is None:
            return None, None
        may_stay, counted = ledger.gate.take_socket(None if peer is None else peer[0])
        return (None, counted) if may_stay else (TOO_MANY, None)

    def _give_back(self, counted: str | None) -> None:
        if counted is not None and self._ledger.gate is not None:
            self._ledger.gate.give_back_socket(counted)

    def _may_refuse_gently(self, refusal: bytes) -> bool:
        return bool(refusal) and len(self.turned_away) < self._ledger.settings.max_refusals

    def _refuse(self, conn: TableConnection, refusal: bytes) -> None:
        self.refused += 1
        self.turned_away.add(conn)
        conn.write(refusal)
        conn.close()

    def _pause(self, listener: _Listener, exc: OSError) -> None:
        """Stop looking at a listener that would be ready for ever while the system has no room."""
        listener.paused_until_s = self._ledger.clock() + self._ledger.settings.accept_pause_s
        self._ledger.poller.modify(listener.sock.fileno(), 0)
        if not listener.warned:
            listener.warned = True
            log.warning("table.accept_failed", error=errno.errorcode.get(exc.errno or 0, "unknown"))


def tune(sock: socket.socket, settings: TableSettings) -> None:
    """Switch off Nagle's delay, since what is worth joining has been joined before it is sent; bound the system's queue.

    Without the bound Linux takes up to 4 MiB of its own memory for a reader that has stopped, which no figure of ours shows,
    and a quiet room needs minutes to fill that before anybody notices. What is under way to a reader does not count.
    """
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, settings.system_unsent_bytes)


def peer_of(address: object) -> tuple[str, int] | None:
    """The address and port of the other side; None where there are none (unix sockets)."""
    if isinstance(address, tuple) and len(address) >= 2:
        return address[0], address[1]
    return None
