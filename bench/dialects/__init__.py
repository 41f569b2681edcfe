"""What a server speaks, as the generator sees it: one dialect for each kind of server. Sans-I/O: bytes in and out.

A dialect belongs to one generator process and serves all its connections; what one connection must remember while it
joins is in its `Handshake`. After that a connection has no protocol state here: bytes are cut into frames
(`split`), frames are read into words (`words`), and a post is bytes to send (`publish`). Frames for all readers of
a room must be the same bytes, or the generator falls back to reading each of them (`generator/stream.py`).

Offsets of a room are whole numbers that grow by one with every publication. Where a server has none of its own (the
peers), the server side of the dialect counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from ..wire import Frame, Refusal


@attrs.frozen
class Publication:
    """One event of a room.

    Attributes:
        text: What was posted; None for an event that is no post.
    """

    offset: int
    text: str | None


@attrs.frozen
class Answer:
    """The answer to a post: acknowledged, or refused."""

    command_id: int
    refusal: Refusal | None = None


@attrs.frozen
class Pinged:
    """The server asked for a sign of life; `reply` is what to send, as it goes on the wire."""

    reply: bytes


@attrs.frozen
class Closed:
    """The server said that it ends the connection."""

    reason: str


Word = Publication | Answer | Pinged | Closed


@attrs.frozen(kw_only=True)
class Join:
    """What a connection wants when it opens.

    Attributes:
        host: As in the Host header, with the port.
        room: None for a connection that only posts.
        after: Resume after this offset; None for live from now on. Dialects that cannot resume ignore it.
        epoch: The log that `after` belongs to.
        mask: 4 bytes for the frames of this connection, where the dialect masks.
    """

    host: str
    token: str
    room: str | None
    after: int | None = None
    epoch: str = ""
    mask: bytes = b"\0\0\0\0"


@attrs.frozen(kw_only=True)
class Joined:
    """The connection is live.

    Attributes:
        offset: The room's last event when the reader went live, or the last one of `missed`; 0 without a room.
        missed: Events that came with the answer, in order: what a resume brought, and what was said in the same frame.
        rest: Bytes behind the answer; they go to `split` with what comes next.
        resumed: False: the position could not be served and events between it and `offset` are not to come.
    """

    offset: int
    epoch: str = ""
    missed: Sequence[Publication] = ()
    rest: bytes = b""
    resumed: bool = True


@attrs.frozen
class Step:
    """What to do after some bytes of a handshake: send these, and whether it is over."""

    send: bytes = b""
    joined: Joined | None = None


class Handshake(Protocol):
    """One connection's way from TCP to live. Raises `wire.WireError` when the server refuses or makes no sense."""

    def start(self) -> bytes:
        """The first bytes to send."""

    def feed(self, data: bytes) -> Step:
        """The server's next bytes, cut anywhere."""


class Dialect(Protocol):
    """One kind of server. All methods raise `wire.WireError` on bytes that it cannot have sent."""

    def handshake(self, join: Join) -> Handshake:
        """For a new connection."""

    def split(self, data: bytes) -> tuple[list[Frame], int]:
        """The whole frames at the start of some bytes, and where the first unfinished one begins."""

    def words(self, frame: Frame, mask: bytes) -> Sequence[Word]:
        """What a frame says, in order; nothing for a frame that needs no attention.

        Args:
            mask: Of the connection, for the reply to a ping.
        """

    def publish(self, command_id: int, room: str, text: str, key: str, mask: bytes) -> bytes:
        """A post, as it goes on the wire; its answer carries the same id (0 to 2^31).

        Args:
            key: Idempotency key of the post.
        """
