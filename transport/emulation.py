"""Which connections of the Centrifugal protocol take their commands by other requests than the one that opened them.

A connection over HTTP goes one way only; what its client says comes by `POST /emulation` and names the session. Invariants: a
session is known from its `connect` to the end of its connection, so there are no more of them than connections; its id has 256
random bits, is said to its client alone, and stands in no log.

Left out: what a session is told (`centrifugal_http`).
"""

from __future__ import annotations

import secrets
from typing import Protocol

from ..engine import Principal


class Emulated(Protocol):
    """A connection that is told by other requests what its client says."""

    @property
    def principal(self) -> Principal:
        """Who it speaks for."""

    @property
    def by_request(self) -> bool:
        """Whether the request that opened it brought the credential; the others must then bring one, too."""

    def offer(self, commands: bytes) -> None:
        """Take commands, one a line.

        Raises:
            EngineError: they are not taken.
        """


class Sessions:
    """The sessions of one server.

    Attributes:
        node: names this server, and this life of it, to its clients.
    """

    __slots__ = ("_open", "node")

    def __init__(self) -> None:
        self.node = secrets.token_urlsafe(12)
        self._open: dict[str, Emulated] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, peer: Emulated) -> str:
        """A new session; returns its id."""
        session = secrets.token_urlsafe(32)
        self._open[session] = peer
        return session

    def close(self, session: str) -> None:
        """It is over; may be called again."""
        self._open.pop(session, None)

    def find(self, session: str, node: str) -> Emulated | None:
        """The connection of a session.

        Args:
            session: its id.
            node: as it was told; empty where the client names none.
        """
        return self._open.get(session) if node in ("", self.node) else None
