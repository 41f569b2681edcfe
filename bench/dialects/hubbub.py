"""hubbub over WebSocket: the Centrifugal client protocol in JSON, as the generator speaks it. Pure.

One connection follows at most one room. Answers to a resume are the same bytes for every reader that comes back from the
same offset, so the last few are kept as they were read: 5,000 readers with 100 missed events each cost one parse.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from itertools import chain
from typing import Final

import attrs

from .. import wire
from . import Answer, Closed, Handshake, Join, Joined, Pinged, Publication, Step, Word

_CONNECT_ID: Final = 1
_SUBSCRIBE_ID: Final = 2
FIRST_POST_ID: Final = 3
_LONG_BYTES: Final = 2048
_KEPT_REPLIES: Final = 16


def publications(documents: Sequence[wire.Document]) -> list[Publication]:
    """The events with an offset among some documents, those inside the answer to a resume included."""
    found: list[Publication] = []
    for document in documents:
        pubs = document.subscribe.publications if document.subscribe else ()
        found += [_read(pub) for pub in pubs]
        if document.push and document.push.pub and document.push.pub.offset:
            found.append(_read(document.push.pub))
    return found


def _read(pub: wire.Publication) -> Publication:
    return Publication(pub.offset, pub.data.message.text if pub.data.message else None)


@attrs.frozen
class Reply:
    """A text frame: its documents, and the events among them."""

    documents: Sequence[wire.Document]
    publications: Sequence[Publication]


class _Opening:
    """Upgrade, then connect and subscribe in one frame."""

    __slots__ = ("_dialect", "_inbox", "_join", "_key", "_upgraded")

    def __init__(self, dialect: HubbubSocket, join: Join) -> None:
        self._dialect: Final = dialect
        self._join: Final = join
        self._key: Final = base64.b64encode(os.urandom(16))
        self._inbox = b""
        self._upgraded = False

    def start(self) -> bytes:
        return wire.upgrade(self._join.host, self._key)

    def feed(self, data: bytes) -> Step:
        self._inbox += data
        if not self._upgraded:
            rest = wire.upgraded(self._inbox, self._key)
            if rest is None:
                return Step()
            self._inbox, self._upgraded = rest, True
            return Step(send=wire.frame(self._hello(), self._join.mask))
        frames, _ = wire.split(self._inbox)
        for frame in frames:
            if frame.opcode != wire.TEXT:
                raise wire.WireError("closed while joining")
            joined = self._welcome(self._dialect.reply(frame.body), self._inbox[frame.end :])
            if joined is not None:
                return Step(joined=joined)
        self._inbox = self._inbox[frames[-1].end :] if frames else self._inbox
        return Step()

    def _hello(self) -> bytes:
        join = self._join
        hello = wire.connect(_CONNECT_ID, join.token)
        if join.room is None:
            return hello
        if join.after is None:
            return hello + b"\n" + wire.subscribe(_SUBSCRIBE_ID, join.room)
        return hello + b"\n" + wire.resume(_SUBSCRIBE_ID, join.room, join.after, join.epoch)

    def _welcome(self, reply: Reply, rest: bytes) -> Joined | None:
        for document in reply.documents:
            if document.error:
                raise wire.WireError(f"{document.error.code} {document.error.message}")
            if document.id == _CONNECT_ID and self._join.room is None:
                return Joined(offset=0, rest=rest)
            if document.id == _SUBSCRIBE_ID and document.subscribe:
                subscribed = document.subscribe
                return Joined(
                    offset=subscribed.offset,
                    epoch=subscribed.epoch,
                    missed=reply.publications,
                    rest=rest,
                    resumed=subscribed.recovered or self._join.after is None,
                )
        return None


class HubbubSocket:
    """The dialect `hubbub`."""

    def __init__(self) -> None:
        self._replies: Final[dict[bytes, Reply]] = {}

    def handshake(self, join: Join) -> Handshake:
        """For a new connection."""
        return _Opening(self, join)

    def reply(self, body: bytes) -> Reply:
        """A text frame as read. A long line is kept for the next reader that is sent the same."""
        parts = [self._line(line) for line in body.split(b"\n") if line]
        with_events = [part.publications for part in parts if part.publications]
        # The very same object for all readers where one line holds all events: `Stream` knows it again.
        events = with_events[0] if len(with_events) == 1 else tuple(chain.from_iterable(with_events))
        return Reply([document for part in parts for document in part.documents], events)

    def _line(self, line: bytes) -> Reply:
        known = self._replies.get(line)
        if known is None:
            documents = wire.documents(line)
            known = Reply(documents, tuple(publications(documents)))
            if len(line) >= _LONG_BYTES:
                if len(self._replies) >= _KEPT_REPLIES:
                    del self._replies[next(iter(self._replies))]
                self._replies[line] = known
        return known

    def split(self, data: bytes) -> tuple[list[wire.Frame], int]:
        """WebSocket frames."""
        return wire.split(data)

    def words(self, frame: wire.Frame, mask: bytes) -> list[Word]:
        """What a frame says; replies to anything but posts are passed over."""
        if frame.opcode == wire.PING:
            return [Pinged(wire.frame(frame.body, mask, wire.PONG))]
        if frame.opcode == wire.CLOSE:
            return [Closed(f"{int.from_bytes(frame.body[:2], 'big')} {frame.body[2:].decode(errors='replace')}")]
        if frame.opcode != wire.TEXT:
            return []
        words: list[Word] = []
        for line in frame.body.split(b"\n"):
            if line == wire.SERVER_PING:
                words.append(Pinged(wire.frame(wire.SERVER_PING, mask)))
            elif line:
                words += _document_words(wire.documents(line))
        return words

    def publish(self, command_id: int, room: str, text: str, key: str, mask: bytes) -> bytes:
        """A publish command in a masked frame."""
        return wire.frame(wire.publish(command_id + FIRST_POST_ID, room, text, key), mask)

    def typing(self, command_id: int, room: str, mask: bytes) -> bytes:
        """Say that somebody is typing; answered like a post."""
        return self._rpc(command_id, "typing", {"conversation": room}, mask)

    def history(self, command_id: int, room: str, mask: bytes) -> bytes:
        """Read the newest page of messages; answered like a post."""
        return self._rpc(command_id, "history", {"conversation": room, "limit": 50}, mask)

    def _rpc(self, command_id: int, method: str, data: dict[str, object], mask: bytes) -> bytes:
        return wire.frame(wire.rpc(command_id + FIRST_POST_ID, method, data), mask)


def _document_words(documents: Sequence[wire.Document]) -> list[Word]:
    words: list[Word] = list(publications(documents))
    words += [Answer(d.id - FIRST_POST_ID, d.error) for d in documents if d.id >= FIRST_POST_ID]
    return words
