"""What dialects over plain WebSocket share: the way to an open connection, and control frames. Pure.

An `Opening` takes the server's bytes cut anywhere, sees to the upgrade and to pings, and hands each text message to the
dialect until that says `Joined`.
"""

from __future__ import annotations

import abc
import base64
import os
from typing import Final

import attrs

from .. import wire
from . import Closed, Join, Joined, Pinged, Step, Word

ENVELOPE: Final = "-" * 500
"""Goes before each text that is posted to a peer, so that its event is about as long as hubbub's: id, author, times."""
_MAX_INBOX_BYTES: Final = 1 << 20


def control(frame: wire.Frame, mask: bytes) -> list[Word]:
    """What a frame says that is no text."""
    if frame.opcode == wire.PING:
        return [Pinged(wire.frame(frame.body, mask, wire.PONG))]
    if frame.opcode == wire.CLOSE:
        return [Closed(f"{int.from_bytes(frame.body[:2], 'big')} {frame.body[2:].decode(errors='replace')}")]
    return []


def text_of(body: str) -> str:
    """The text within a posted body; `ENVELOPE + text` posted it."""
    return body[len(ENVELOPE) :]


class Opening(abc.ABC):
    """One connection's way to live, see `Handshake`.

    Args:
        path: What the request asks for.
    """

    __slots__ = ("_inbox", "_key", "_path", "_upgraded", "join")

    def __init__(self, join: Join, path: str) -> None:
        self.join: Final = join
        self._path: Final = path
        self._key: Final = base64.b64encode(os.urandom(16))
        self._inbox = b""
        self._upgraded = False

    def start(self) -> bytes:
        """The request head."""
        return wire.upgrade(self.join.host, self._key, self._path)

    def feed(self, data: bytes) -> Step:
        """The server's next bytes, cut anywhere.

        Raises:
            WireError: The server refuses, closes or makes no sense.
        """
        self._inbox += data
        if len(self._inbox) > _MAX_INBOX_BYTES:
            raise wire.WireError("the handshake does not end")
        send = b""
        if not self._upgraded:
            rest = wire.upgraded(self._inbox, self._key)
            if rest is None:
                return Step()
            self._inbox, self._upgraded = rest, True
            opened = self.opened()
            if opened.joined:
                return self._over(opened, 0)
            send = opened.send
        frames, rest_at = wire.split(self._inbox)
        for frame in frames:
            step = self._frame(frame)
            send += step.send
            if step.joined:
                return self._over(Step(send, step.joined), frame.end)
        self._inbox = self._inbox[rest_at:]
        return Step(send)

    def message(self, body: bytes) -> bytes:
        """A text message to send, as it goes on the wire."""
        return wire.frame(body, self.join.mask)

    def _frame(self, frame: wire.Frame) -> Step:
        if frame.opcode == wire.TEXT:
            return self.heard(frame.body)
        words = control(frame, self.join.mask)
        if any(isinstance(word, Closed) for word in words):
            raise wire.WireError("closed while joining")
        return Step(b"".join(word.reply for word in words if isinstance(word, Pinged)))

    def _over(self, step: Step, rest_at: int) -> Step:
        assert step.joined is not None
        return attrs.evolve(step, joined=attrs.evolve(step.joined, rest=self._inbox[rest_at:]))

    @abc.abstractmethod
    def opened(self) -> Step:
        """The upgrade is accepted: what to send, or that this was all."""

    @abc.abstractmethod
    def heard(self, body: bytes) -> Step:
        """A text message has come; `Joined.rest` need not be given."""


def no_room() -> Joined:
    """A connection that only posts is live."""
    return Joined(offset=0)
