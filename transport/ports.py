"""The two sides of a socket in the connection table: the machine that understands it, the connection that moves its bytes.

A machine is synchronous protocol state; the table calls it and it never waits. A connection is what the table
offers to the machine and to the fan-out. Machines depend on these protocols only, so tests drive them with a
fake connection and no socket. All calls are made in one thread, by one trio task.
"""

from __future__ import annotations

import socket
from typing import Protocol


class Machine(Protocol):
    """The protocol state of one connection.

    It never raises for a peer's fault. An exception from it is our bug: the table logs it, aborts this connection
    and goes on with the others.
    """

    def received(self, data: bytes) -> None:
        """Take bytes from the peer; never empty, at most one recv of the table's size per turn."""

    def again(self) -> None:
        """Go on with input kept from an earlier turn; asked for by `Connection.again`."""

    def writable(self) -> None:
        """The unsent rest has gone; called once per change from blocked to unblocked."""

    def stalled(self) -> None:
        """The peer has taken no byte of the unsent rest for the stall time."""

    def timeout(self) -> None:
        """The deadline set by `Connection.set_deadline` has passed."""

    def eof(self) -> None:
        """The peer has shut down its sending side."""

    def closed(self) -> None:
        """The socket has left the table for good, whoever closed it.

        Called exactly once, at the end of a turn; not called after `Connection.release`.
        """


class Gate(Protocol):
    """Says which sockets may stay; asked by the table when it accepts one."""

    def take_socket(self, peer: str | None, *, always: bool = False) -> tuple[bool, str | None]:
        """Count a socket, or refuse it.

        Args:
            peer: the address at its other end.
            always: it must not be refused.

        Returns:
            Whether it may stay, and what to give back when it is closed; None for nothing.
        """

    def give_back_socket(self, counted: str) -> None:
        """A socket that was counted is closed."""


class Connection(Protocol):
    """One socket of the table, as machines and the fan-out see it. No method waits."""

    machine: Machine
    """May be swapped, from HTTP to WebSocket for example."""

    @property
    def peer(self) -> tuple[str, int] | None:
        """Remote address; None for unix sockets."""

    @property
    def blocked(self) -> bool:
        """True while a write waits for writability."""

    def push(self, data: bytes) -> bool:
        """Send for the fan-out.

        Returns:
            True when all of it was taken (sent, or the rest of this one write kept); False when nothing was taken
            (blocked, closing or dead).
        """

    def write(self, data: bytes) -> None:
        """Send a control reply now, or queue it behind the rest; over the unsent limit the connection is cut."""

    def close(self) -> None:
        """Stop reading and pushing; close when the unsent bytes have gone, at the latest after the linger time."""

    def abort(self) -> None:
        """Close at the end of the turn; unsent bytes are dropped."""

    def pause(self) -> None:
        """Stop watching for input."""

    def resume(self) -> None:
        """Watch for input again."""

    def again(self) -> None:
        """Have `Machine.again` called in the next turn."""

    def set_deadline(self, delay_s: float | None) -> None:
        """Arm the one timer of this connection; None clears, arming again replaces. Coarse: one tick of the table."""

    def release(self) -> socket.socket:
        """Take the socket out of the table; nothing may be unsent. `Machine.closed` is not called."""
