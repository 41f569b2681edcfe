"""The dialect `socketio`: Engine.IO 4 and Socket.IO 5 over WebSocket, the namespace "/" only. Pure.

Engine.IO is the first character of a message: 0 open, 1 close, 2 ping, 3 pong, 4 message, 6 nothing. A message goes on
with Socket.IO: 0 connect, 1 disconnect, 2 event, 3 answer, 4 refused, then the id of what wants an answer, then JSON.

| to the server | answer | to every member |
|---|---|---|
| `420["join",ROOM]` | `430[OFFSET]`: of the room's last event | |
| `42ID["post",ROOM,BODY]` | `43ID[...]` | `42["event",OFFSET,BODY]` |

Events that come before the answer to the join are `Joined.missed`: servers of this kind may send both by different
ways. Cannot resume; no binary packets. Sources: the projects' protocol pages, engine.io-protocol v4, socket.io-protocol v5.
"""

from __future__ import annotations

from typing import Final

import msgspec

from .. import wire
from . import Answer, Closed, Handshake, Join, Joined, Pinged, Publication, Step, Word
from .sockets import ENVELOPE, Opening, control, no_room, text_of

_PATH: Final = "/socket.io/?EIO=4&transport=websocket"
_JOIN_ID: Final = 0
FIRST_POST_ID: Final = 1
_DIGITS: Final = b"0123456789"

_encode: Final = msgspec.json.Encoder().encode
_event: Final = msgspec.json.Decoder(tuple[str, int, str])
_offset: Final = msgspec.json.Decoder(tuple[int])


def _numbered(data: bytes) -> tuple[int, bytes]:
    """The id that an answer begins with, and the JSON behind it."""
    payload = data.lstrip(_DIGITS)
    return int(data[: len(data) - len(payload)]), payload


def _unreadable(body: bytes) -> wire.WireError:
    return wire.WireError(f"not a packet of ours: {body[:80]!r}")


def _publication(body: bytes) -> Publication:
    try:
        name, offset, text = _event.decode(body[2:])
    except msgspec.DecodeError as exc:
        raise _unreadable(body) from exc
    if name != "event":
        raise _unreadable(body)
    return Publication(offset, text_of(text))


class _Opening(Opening):
    __slots__ = ("_early",)

    def __init__(self, join: Join, path: str) -> None:
        super().__init__(join, path)
        self._early: Final[list[Publication]] = []

    def opened(self) -> Step:
        return Step()

    def heard(self, body: bytes) -> Step:
        if body.startswith(b"0"):
            return Step(self.message(b"40"))
        if body.startswith(b"2"):
            return Step(self.message(b"3" + body[1:]))
        if body.startswith(b"40"):
            return self._connected()
        if body.startswith(b"42"):
            self._early.append(_publication(body))
            return Step()
        if body.startswith(b"43"):
            return self._answered(body)
        if body == b"6":
            return Step()
        raise wire.WireError(f"refused: {body[:80]!r}")

    def _connected(self) -> Step:
        if self.join.room is None:
            return Step(joined=no_room())
        return Step(self.message(b"42%d" % _JOIN_ID + _encode(("join", self.join.room))))

    def _answered(self, body: bytes) -> Step:
        try:
            command_id, payload = _numbered(body[2:])
            (offset,) = _offset.decode(payload)
        except ValueError as exc:  # msgspec's errors are of this kind
            raise _unreadable(body) from exc
        if command_id != _JOIN_ID:
            raise _unreadable(body)
        missed = [event for event in self._early if event.offset > offset]
        return Step(joined=Joined(offset=missed[-1].offset if missed else offset, missed=missed))


class SocketIo:
    """See the module; one for all connections of a generator."""

    def handshake(self, join: Join) -> Handshake:
        """For a new connection."""
        return _Opening(join, _PATH)

    def split(self, data: bytes) -> tuple[list[wire.Frame], int]:
        """WebSocket frames."""
        return wire.split(data)

    def words(self, frame: wire.Frame, mask: bytes) -> list[Word]:
        """What a frame says."""
        if frame.opcode != wire.TEXT:
            return control(frame, mask)
        body = frame.body
        if body.startswith(b"42"):
            return [_publication(body)]
        if body.startswith(b"43"):
            try:
                return [Answer(_numbered(body[2:])[0] - FIRST_POST_ID)]
            except ValueError as exc:
                raise _unreadable(body) from exc
        if body.startswith(b"2"):
            return [Pinged(wire.frame(b"3" + body[1:], mask))]
        if body.startswith((b"1", b"41")):
            return [Closed("the server disconnects")]
        if body == b"6":
            return []
        raise _unreadable(body)

    def publish(self, command_id: int, room: str, text: str, key: str, mask: bytes) -> bytes:
        """A post; the key is not sent, no peer would look at it."""
        return wire.frame(b"42%d" % (command_id + FIRST_POST_ID) + _encode(("post", room, ENVELOPE + text)), mask)
