"""The machine of a connection whose request was refused: what the peer is still sending is thrown away.

Closing a socket with unread input resets it, and the reset may overtake the refusal. So input is read on, for a bounded time and
up to a bounded number of bytes, or until the peer ends it; then the connection is closed.
"""

from __future__ import annotations

from .ports import Connection


class Discarding:
    """Reads and keeps nothing; see `Machine` for each method.

    Args:
        conn: the connection; its last answer has been written.
        max_bytes: more than that closes it.
        timeout_s: so does this time.
    """

    __slots__ = ("_conn", "_left_bytes")

    def __init__(self, conn: Connection, max_bytes: int, timeout_s: float) -> None:
        self._conn = conn
        self._left_bytes = max_bytes
        conn.set_deadline(timeout_s)

    def received(self, data: bytes) -> None:
        """Throw input away."""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._conn.close()

    def again(self) -> None:
        """Nothing was kept."""

    def writable(self) -> None:
        """Nothing waits to be said."""

    def stalled(self) -> None:
        """Give up a peer that does not take its answer."""
        self._conn.abort()

    def timeout(self) -> None:
        """The time is over."""
        self._conn.close()

    def eof(self) -> None:
        """The peer sends no more."""
        self._conn.close()

    def closed(self) -> None:
        """There is nothing to let go of."""
