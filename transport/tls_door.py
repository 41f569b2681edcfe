"""The door of a port that speaks TLS: a handshake, then what it agreed on: HTTP/1.1 in the table, HTTP/2 in the cold lane."""

from __future__ import annotations

from collections.abc import Callable

from .certificates import HTTP2, Certificates
from .ports import Connection, Machine
from .tls_connection import TlsConnection, TlsMachine
from .tls_session import TlsSession


class TlsDoor:
    """Gives connections their first machine.

    Args:
        certificates: the one in force when a connection comes is its own to the end.
        door: gives those of HTTP/1.1 the next.
        leave: takes a connection out to the cold lane, with the bytes read so far.
        handshake_s: how long a handshake may take, and after it the first words of HTTP/2.
    """

    def __init__(
        self,
        certificates: Certificates,
        door: Callable[[Connection], Machine],
        leave: Callable[[Connection, bytes], None],
        handshake_s: float,
    ) -> None:
        self._certificates = certificates
        self._door = door
        self._leave = leave
        self._handshake_s = handshake_s

    def machine(self, below: Connection) -> Machine:
        """The machine of a connection that was just accepted."""
        machine = TlsMachine(below, TlsSession(self._certificates.context))
        machine.greet(self._handshake_s, self._welcome)
        return machine

    def _welcome(self, conn: TlsConnection) -> None:
        if conn.session.alpn == HTTP2:
            conn.machine = _Preface(conn, self._leave, self._handshake_s)
        else:
            conn.machine = self._door(conn)


class _Preface:
    """Waits for the first bytes of HTTP/2 and leaves with them: who says nothing costs the cold lane nothing."""

    __slots__ = ("_conn", "_leave")

    def __init__(self, conn: Connection, leave: Callable[[Connection, bytes], None], wait_s: float) -> None:
        self._conn = conn
        self._leave = leave
        conn.set_deadline(wait_s)

    def received(self, data: bytes) -> None:
        """Leave."""
        if self._conn.blocked:  # a handshake that the peer does not read: no client of HTTP/2 does that
            self._conn.abort()
            return
        self._conn.set_deadline(None)
        self._leave(self._conn, data)

    def again(self) -> None:
        """Nothing is kept."""

    def writable(self) -> None:
        """Nothing is written."""

    def stalled(self) -> None:
        """It does not read."""
        self._conn.abort()

    def timeout(self) -> None:
        """It has nothing to say."""
        self._conn.close()

    def eof(self) -> None:
        """It has left."""
        self._conn.close()

    def closed(self) -> None:
        """It is gone."""
