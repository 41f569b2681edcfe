"""The dialect `plain`: small text messages over WebSocket, spoken by those peers that bring no protocol. Pure.

| to the server | answer | to every member |
|---|---|---|
| `join ROOM` | `joined OFFSET`: of the room's last event | |
| `post ID ROOM BODY` | `ok ID` | `event OFFSET BODY` |

Words are parted by one space; the body is the rest. A connection that only posts says nothing else. Cannot resume.
"""

from __future__ import annotations

from typing import Final

from .. import wire
from . import Answer, Handshake, Join, Joined, Publication, Step, Word
from .sockets import ENVELOPE, Opening, control, no_room, text_of

_PATH: Final = "/"


class _Opening(Opening):
    __slots__ = ()

    def opened(self) -> Step:
        if self.join.room is None:
            return Step(joined=no_room())
        return Step(self.message(f"join {self.join.room}".encode()))

    def heard(self, body: bytes) -> Step:
        verb, _, offset = body.partition(b" ")
        if verb != b"joined" or not offset.isdigit():
            raise wire.WireError(f"not an answer to a join: {body[:80]!r}")
        return Step(joined=Joined(offset=int(offset)))


class Plain:
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
        verb, _, rest = frame.body.partition(b" ")
        try:
            if verb == b"event":
                offset, _, body = rest.partition(b" ")
                return [Publication(int(offset), text_of(body.decode()))]
            if verb == b"ok":
                return [Answer(int(rest))]
        except ValueError as exc:
            raise wire.WireError(f"not a message of the protocol: {frame.body[:80]!r}") from exc
        raise wire.WireError(f"not a message of the protocol: {frame.body[:80]!r}")

    def publish(self, command_id: int, room: str, text: str, key: str, mask: bytes) -> bytes:
        """A post; the key is not sent, no peer would look at it."""
        return wire.frame(f"post {command_id} {room} {ENVELOPE}{text}".encode(), mask)
