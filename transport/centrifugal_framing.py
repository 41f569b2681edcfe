"""How each transport of the Centrifugal protocol wraps what is said on it: documents, pings, the last words.

The protocol (`centrifugal`) writes JSON documents, one a line, and knows nothing of what carries them.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ..engine.core.messages import Event
from ..engine.core.tail import Format
from . import centrifugal_wire as wire
from .websocket import close_frame, text_frame


@attrs.frozen
class PushFormat:
    """Events as pushes. A room encodes an event once for each format among its readers.

    Attributes:
        name: unique among the formats of a process.
        wrap: the framing's.
    """

    name: str
    wrap: Callable[[bytes], bytes]

    def encode(self, event: Event, body: bytes) -> bytes:
        """Wrap the event's JSON."""
        return self.wrap(wire.publication_push(event, body))


@attrs.frozen
class Framing:
    """What one transport puts round documents.

    Attributes:
        format: events of rooms, to whoever reads by this transport.
        wrap: one or more documents, one a line, as bytes to send.
        ping: the server's ping, wrapped.
        farewell: code and reason of a disconnect as the last bytes of a connection.
    """

    format: Format
    wrap: Callable[[bytes], bytes]
    ping: bytes
    farewell: Callable[[int, str], bytes]


WEBSOCKET = Framing(PushFormat("centrifugal", text_frame), text_frame, text_frame(wire.PING), close_frame)
