"""A connection without a socket, which records what a machine does with it."""

from __future__ import annotations

import socket

from hubbub.transport.ports import Connection, Machine


class NoMachine:
    """Stands in until the machine under test is there."""

    def received(self, data: bytes) -> None: ...
    def again(self) -> None: ...
    def writable(self) -> None: ...
    def stalled(self) -> None: ...
    def timeout(self) -> None: ...
    def eof(self) -> None: ...
    def closed(self) -> None: ...


class FakeConnection:
    """Keeps the contract of `Connection`: after `close` or `abort` nothing is written, `again` is asked for per turn."""

    def __init__(self) -> None:
        self.machine: Machine = NoMachine()
        self.written = bytearray()
        self.is_blocked = False
        self.is_closed = self.is_aborted = self.is_paused = self.wants_again = False
        self.deadline_s: float | None = None
        self.room_for: int | None = None
        """So many pushes are taken, then it blocks; None is no bound."""

    @property
    def peer(self) -> tuple[str, int] | None:
        return ("127.0.0.1", 50_000)

    @property
    def blocked(self) -> bool:
        return self.is_blocked

    def push(self, data: bytes) -> bool:
        if self.room_for == 0:
            self.is_blocked = True
        if self.is_blocked or self.is_closed or self.is_aborted:
            return False
        if self.room_for is not None:
            self.room_for -= 1
        self.written += data
        return True

    def write(self, data: bytes) -> None:
        if not (self.is_closed or self.is_aborted):
            self.written += data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def again(self) -> None:
        self.wants_again = True

    def set_deadline(self, delay_s: float | None) -> None:
        self.deadline_s = delay_s

    def release(self) -> socket.socket:
        raise NotImplementedError

    def turns(self, limit: int = 1_000) -> int:
        """Run the turns that the machine asks for; how many there were."""
        count = 0
        while self.wants_again:
            self.wants_again = False
            self.machine.again()
            count += 1
            assert count < limit, "the machine asks for turns without end"
        return count

    def take(self) -> bytes:
        """What has been written since the last call."""
        data = bytes(self.written)
        self.written.clear()
        return data


def as_connection(fake: FakeConnection) -> Connection:
    """Checked by the type checker: the fake is a connection."""
    return fake
