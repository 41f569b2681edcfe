"""What one connection of the Centrifugal protocol says: replies that leave together, and the bound on commands without one.

Invariant: every command with an id gets exactly one reply. What the commands of one turn bring is kept (corked) and leaves as one
write, because a send costs more than all else in a reply.

Left out: what is asked and when it is handled (`centrifugal`), what documents hold (`centrifugal_wire`) and how they are wrapped
(`centrifugal_framing`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..engine import EngineError
from ..engine.core.errors import WIRE
from . import centrifugal_wire as wire
from .api import Api
from .centrifugal_framing import Framing
from .centrifugal_settings import SocketSettings
from .limits import Charge, is_refusal
from .meters import Transport
from .ports import Connection


class Replies:
    """The speaking half of a connection. A base and no object of its own: each connection would pay for a second one.

    Args:
        conn: where it is written.
        api: what transports share.
        settings: bounds.
        framing: how what is said is wrapped.

    Attributes:
        transport: what it is called in figures and logs.
        charge: what the command that is being handled has used of its conversation's limit.
    """

    transport: ClassVar[Transport]

    __slots__ = ("_conn", "_corked", "_framing", "_handling", "_owed", "_wrap", "api", "charge", "format", "settings")

    def __init__(self, conn: Connection, api: Api, settings: SocketSettings, framing: Framing) -> None:
        self._conn = conn
        self.api = api
        self.settings = settings
        self._framing = framing
        self._wrap = framing.wrap
        self.format = framing.format
        self._corked: list[bytes] | None = None  # replies that wait for others, to leave together
        self._handling = False  # commands, in this moment
        self._owed = 0  # commands without their reply
        self.charge: Charge | None = None

    @property
    def _full(self) -> bool:
        return self._owed >= self.settings.unanswered_commands

    def say(self, reply: bytes) -> None:
        """Send a reply; what one turn's commands bring leaves together. What a room answers leaves at once: pushes follow."""
        if self._corked is not None:
            self._corked.append(reply)
            if not self._handling:
                self._uncork()
        elif self._handling:
            self._corked = [reply]
        else:
            self._conn.write(self._wrap(reply))

    def answer(self, reply: bytes) -> None:
        """Give a command its one reply."""
        if self._full:
            self._conn.again()
        self._owed -= 1
        self.say(reply)

    def refusal(self, command_id: int, error: EngineError, charge: Charge | None = None) -> bytes:
        """The reply to a command that is refused; what it was charged for its conversation is given back."""
        if charge is not None and is_refusal(WIRE[error.code].status):
            charge.give_back(self.api.admission.limits.clock_ns())
        self.api.watch.meters.refused(self.transport, error.code)
        return wire.error_reply(command_id, error)

    def replying(self, command_id: int, kind: bytes, make: Callable[[Any], bytes]) -> Callable[[Any], None]:
        """A command's reply that answers the peer: an error, else what `make` makes of the answer."""

        charge = self.charge

        def done(answer: Any) -> None:
            if isinstance(answer, EngineError):
                self.answer(self.refusal(command_id, answer, charge))
            else:
                self.answer(wire.reply(command_id, kind, make(answer)))

        return done

    def notify(self, push: bytes) -> None:
        """Send what is no reply."""
        self._conn.write(self._wrap(push))

    def _uncork(self) -> None:
        replies, self._corked = self._corked, None
        if replies is not None:
            self._conn.write(self._wrap(b"\n".join(replies)))
