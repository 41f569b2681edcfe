"""hubbub over event streams (SSE), for readers; who posts uses a WebSocket beside it. Pure.

A frame is a block up to and including its empty line. The stream has no chunked coding: the server closes to end it.
Source: WHATWG HTML, section 9.2 (server-sent events).
"""

from __future__ import annotations

from typing import Final

import msgspec

from ..wire import MAX_HEAD_BYTES, Event, Frame, WireError
from . import Closed, Handshake, Join, Joined, Publication, Step, Word

_MAX_BLOCK_BYTES: Final = 1 << 20
_BLOCK: Final = 1


class _Opened(msgspec.Struct, frozen=True):
    epoch: str = ""
    offset: int = 0


class _Ended(msgspec.Struct, frozen=True):
    code: str = ""


_opened: Final = msgspec.json.Decoder(_Opened)
_ended: Final = msgspec.json.Decoder(_Ended)
_event: Final = msgspec.json.Decoder(Event)


def _fields(block: bytes) -> dict[bytes, bytes]:
    pairs = (line.partition(b":") for line in block.split(b"\n") if line and not line.startswith(b":"))
    return {name: value.removeprefix(b" ") for name, _, value in pairs}


class _Opening:
    __slots__ = ("_dialect", "_headed", "_inbox", "_join")

    def __init__(self, dialect: EventStreams, join: Join) -> None:
        self._dialect: Final = dialect
        self._join: Final = join
        self._inbox = b""
        self._headed = False

    def start(self) -> bytes:
        join = self._join
        resume = "" if join.after is None else f"Last-Event-ID: {join.after}\r\n"
        return (
            f"GET /api/v1/conversations/{join.room}/events HTTP/1.1\r\nHost: {join.host}\r\n"
            f"Authorization: Bearer {join.token}\r\nAccept: text/event-stream\r\n{resume}\r\n"
        ).encode()

    def feed(self, data: bytes) -> Step:
        self._inbox += data
        if not self._headed and not self._head():
            return Step()
        frames, _ = self._dialect.split(self._inbox)
        for frame in frames:
            fields = _fields(frame.body)
            if fields.get(b"event") == b"stream.open":
                return Step(joined=self._joined(fields, frames))
        return Step()

    def _joined(self, fields: dict[bytes, bytes], frames: list[Frame]) -> Joined:
        at = next(i for i, frame in enumerate(frames) if b"stream.open" in frame.body)
        opened = _opened.decode(fields[b"data"])
        reset = any(_fields(frame.body).get(b"event") == b"stream.reset" for frame in frames[at + 1 : at + 2])
        after = self._join.after
        return Joined(
            offset=opened.offset if after is None or reset else after,
            epoch=opened.epoch,
            rest=self._inbox[frames[at].end :],
            resumed=not reset,
        )

    def _head(self) -> bool:
        head, found, rest = self._inbox.partition(b"\r\n\r\n")
        if not found:
            if len(self._inbox) > MAX_HEAD_BYTES:
                raise WireError("the answer's head does not end")
            return False
        status = head.split(b"\r\n")[0]
        if status.split(b" ")[1:2] != [b"200"]:
            raise WireError(f"no event stream: {status.decode('latin-1')}")
        self._inbox, self._headed = rest, True
        return True


class EventStreams:
    """The dialect `sse`."""

    def handshake(self, join: Join) -> Handshake:
        """For a new connection.

        Raises:
            WireError: It has no room: an event stream cannot post.
        """
        if join.room is None:
            raise WireError("an event stream needs a room")
        return _Opening(self, join)

    def split(self, data: bytes) -> tuple[list[Frame], int]:
        """Blocks, each with its empty line."""
        frames: list[Frame] = []
        at = 0
        while (end := data.find(b"\n\n", at)) >= 0:
            frames.append(Frame(at, end + 2, _BLOCK, data[at:end]))
            at = end + 2
        if len(data) - at > _MAX_BLOCK_BYTES:
            raise WireError("a block does not end")
        return frames, at

    def words(self, frame: Frame, mask: bytes) -> list[Word]:
        """The event of a block that has an id; the end of the stream; nothing of comments and the rest."""
        fields = _fields(frame.body)
        try:
            if b"id" in fields and b"data" in fields and fields.get(b"event") != b"stream.open":
                message = _event.decode(fields[b"data"]).message
                return [Publication(int(fields[b"id"]), message.text if message else None)]
            if fields.get(b"event") == b"stream.end":
                return [Closed(_ended.decode(fields[b"data"]).code)]
        except (KeyError, ValueError) as exc:
            raise WireError(f"not a block of an event stream: {exc!r}") from exc
        return []

    def publish(self, command_id: int, room: str, text: str, key: str, mask: bytes) -> bytes:
        """Not possible on an event stream.

        Raises:
            WireError: Always.
        """
        raise WireError("an event stream cannot post")
