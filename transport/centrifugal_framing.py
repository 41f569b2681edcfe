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


def _event_block(documents: bytes) -> bytes:
    """An event of an event stream: each document on a line of its own, which is how its reader joins them again."""
    return b"data: %b\n\n" % documents.replace(b"\n", b"\ndata: ")


def _line(documents: bytes) -> bytes:
    return documents + b"\n"


def _pushed(name: str, wrap: Callable[[bytes], bytes]) -> Framing:
    """A framing without close codes of its own: they are said in a last push."""
    return Framing(
        PushFormat(name, wrap), wrap, wrap(wire.PING), lambda code, reason: wrap(wire.disconnect_push(code, reason))
    )


WEBSOCKET = Framing(PushFormat("centrifugal", text_frame), text_frame, text_frame(wire.PING), close_frame)
EVENT_SOURCE = _pushed("centrifugal-sse", _event_block)
HTTP_STREAM = _pushed("centrifugal-http-stream", _line)
