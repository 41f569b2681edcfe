"""TLS between a connection of the table and its machine: a machine to the table, a connection to the machine above.

The table knows nothing of TLS, and plain connections pay nothing for it. The promises of `ports.Connection` hold above TLS:
- What was sealed cannot be taken back, as its number in the session is used up. So a push that the socket does not take at all is
  kept whole and said to be taken, as the rest of one is that was begun: at most one push waits, and the next is refused.
- Order, bounds of what waits, stall time and deadlines are the table's own, counted in sealed bytes.
- Until the handshake is done there is no machine; it has a deadline, and who lets it pass is cut off without a word.
- The end is said (close_notify) behind the last byte, so that the peer can tell an end from a cut.

`Machine.received` may get what was left of one record besides one read of the table. Left out: records and keys
(`tls_session`), certificates (`certificates`), what is spoken (`tls_door`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from .connection import NOBODY
from .http_message import encode, problem
from .ports import Connection, Machine
from .tls_session import TlsFailed, TlsSession

_HANDSHAKE = 0x16
"""Content type of the first record (RFC 8446, section 5.1)."""
_LINGER_S = 20.0
"""How long closing may wait for a slow reader to take what was written; then the table's own time begins."""
PLAIN_HTTP = encode(
    problem(400, "This port speaks TLS: ask again by https.", code="invalid_request"),
    keep_alive=False,
)
"""What those are told who ask by plain HTTP."""


class TlsConnection:
    """A `Connection` above TLS.

    Args:
        below: carries the sealed bytes.
        session: fresh, or established where the connection comes back from elsewhere.

    Attributes:
        machine: who gets what arrives above TLS.
        session: for whom takes the socket over.
    """

    __slots__ = ("_below", "_closing", "again", "machine", "pause", "resume", "session", "set_deadline")

    def __init__(self, below: Connection, session: TlsSession) -> None:
        self._below = below
        self._closing = False
        self.session = session
        self.machine: Machine = NOBODY
        self.again = below.again
        self.pause = below.pause
        self.resume = below.resume
        self.set_deadline = below.set_deadline

    @property
    def peer(self) -> tuple[str, int] | None:
        """The remote address; None for unix sockets."""
        return self._below.peer

    @property
    def blocked(self) -> bool:
        """A write waits until the socket is writable."""
        return self._below.blocked

    def push(self, data: bytes) -> bool:
        """Send `data` now, or not at all; see `ports.Connection`."""
        if self._closing or self.blocked:
            return False
        try:
            sealed = self.session.seal(data)
        except TlsFailed:
            self.abort()
            return False
        if self._below.push(sealed):
            return True
        return self._keep(sealed)

    def write(self, data: bytes) -> None:
        """Send `data`, now or behind what waits; see `ports.Connection`."""
        if self._closing:
            return
        try:
            self._below.write(self.session.seal(data))
        except TlsFailed:
            self.abort()

    def close(self) -> None:
        """Say that this is the end once all has gone, and close.

        With bytes unsent that is later: the table's bound of what waits would cut off the end of a long answer.
        """
        if self._closing:
            return
        self._closing = True
        if self._below.blocked:
            self.pause()
            self.set_deadline(_LINGER_S)
        else:
            self.part()

    def abort(self) -> None:
        """Close at the end of the turn; unsent bytes are dropped, and the peer sees a cut."""
        self._closing = True
        self._below.abort()

    def release(self) -> socket.socket:
        """Take the socket out of the table; `session` goes with it. See `ports.Connection`."""
        sock = self._below.release()
        self._closing = True
        self.machine = NOBODY  # the machine knows this connection: no cycle may be left to the collector
        return sock

    def _keep(self, sealed: bytes) -> bool:
        """The socket has not taken what cannot be taken back."""
        if not self._below.blocked:
            return False  # it is lost
        self._below.write(sealed)
        return True

    @property
    def closing(self) -> bool:
        """Nothing is taken any more."""
        return self._closing

    def part(self) -> None:
        """Say the end now, and close what is below."""
        self._below.write(self.session.finish())
        self._below.close()


class TlsMachine:
    """The machine of the connection below: opens what arrives and passes it on.

    Args:
        below: the connection that this is the machine of.
        session: see `TlsConnection`.

    Attributes:
        above: what the machine above writes to.
    """

    __slots__ = ("_below", "_end_told", "_welcome", "above")

    def __init__(self, below: Connection, session: TlsSession) -> None:
        self._below = below
        self._welcome: Callable[[TlsConnection], None] | None = None
        self._end_told = False
        self.above = TlsConnection(below, session)

    def greet(self, handshake_s: float, welcome: Callable[[TlsConnection], None]) -> None:
        """Begin with a handshake.

        Args:
            handshake_s: how long it may take.
            welcome: called once when it is done; gives `above` its machine.
        """
        self._welcome = welcome
        self._below.set_deadline(handshake_s)

    def received(self, data: bytes) -> None:
        """Take bytes of the wire."""
        above = self.above
        session = above.session
        if above.closing:
            return
        if self._welcome is not None and session.untouched and data[0] != _HANDSHAKE:
            self._refuse(data)
            return
        try:
            plain = session.open(data)
        except TlsFailed:
            self._fail()
            return
        answer = session.take()
        if answer:
            self._below.write(answer)
        if self._welcome is not None:
            if not session.established:
                return
            welcome, self._welcome = self._welcome, None
            self._below.set_deadline(None)
            welcome(above)
        if plain:
            above.machine.received(plain)
        if session.ended:
            self._tell_end()

    def again(self) -> None:
        """Pass it on."""
        if not self.above.closing:
            self.above.machine.again()

    def writable(self) -> None:
        """Pass it on; or part, where only that was left to do."""
        above = self.above
        if above.closing:
            above.part()
        else:
            above.machine.writable()

    def stalled(self) -> None:
        """Pass it on; who takes no byte of a handshake or of an end is cut off."""
        above = self.above
        if above.closing or self._welcome is not None:
            self._below.abort()
        else:
            above.machine.stalled()

    def timeout(self) -> None:
        """Pass it on; a handshake or an end that takes too long is cut off."""
        above = self.above
        if above.closing or self._welcome is not None:
            self._below.abort()
        else:
            above.machine.timeout()

    def eof(self) -> None:
        """The peer has shut down its sending side. Without a close_notify that may be an attacker's doing: what is whole is
        served all the same, since every message of the protocols above says itself where it ends."""
        if self.above.closing:
            return
        if self._welcome is not None:
            self._below.abort()
        else:
            self._tell_end()

    def closed(self) -> None:
        """The socket has gone."""
        above = self.above
        machine, above.machine = above.machine, NOBODY  # as in `TlsConnection.release`
        machine.closed()

    # -- inside

    def _tell_end(self) -> None:
        if not self._end_told:
            self._end_told = True
            self.above.machine.eof()

    def _refuse(self, data: bytes) -> None:
        """The first byte is none of TLS."""
        if data[:1].isalpha() and data[:1].isascii():
            self._below.write(PLAIN_HTTP)
        self._below.close()

    def _fail(self) -> None:
        """Send the alert that says why. A handshake is closed gently, so that the peer reads it; later the machine must not go on
        writing for as long as that takes."""
        self._below.write(self.above.session.take())
        if self._welcome is not None:
            self._below.close()
        else:
            self.above.abort()


def machine_of(conn: Connection) -> Machine:
    """Who gets what arrives on a connection of the table: the machine above TLS, where there is TLS."""
    machine = conn.machine
    return machine.above.machine if isinstance(machine, TlsMachine) else machine
