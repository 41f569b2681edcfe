"""Which messages of a stream are due, so that each is shown once and in order. Sans-I/O.

Every durable event takes the next offset, so one integer and the log's name (the epoch) say what has been seen: an offset at
or below it is a repeat, one that leaves numbers out is a gap, and after a reset the gap is known or the log is another one.
The shell carries out the steps in order, and moves the position with `seen` after it has shown what it stands for.
"""

from __future__ import annotations

import attrs
import msgspec

from .client import Message, Since, decode
from .refusals import TalkError
from .stream_reader import StreamEvent


class _Stand(msgspec.Struct, frozen=True):
    epoch: str
    offset: int
    reason: str = ""


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    offset: int | None = None
    message: msgspec.Raw = msgspec.Raw()


class _End(msgspec.Struct, frozen=True):
    code: str = ""


@attrs.frozen
class Opened:
    """The stream is open; the reader stands at `offset`."""

    offset: int


@attrs.frozen
class Due:
    """Show this message, then call `seen` with its offset."""

    message: Message


@attrs.frozen
class Passed:
    """Nothing to show, but the event has a place in the log: call `seen`."""

    offset: int


@attrs.frozen
class Missing:
    """The messages after the position up to `upto` do not come by the stream: fetch and show them, then call `seen(upto)`.

    Attributes:
        reason: what the server said, or "gap" when it said nothing.
    """

    upto: int
    reason: str


@attrs.frozen
class Rewound:
    """The log ends before the position: what the reader has seen there is gone, and nothing can be fetched."""

    was: int
    offset: int


@attrs.frozen
class Replaced:
    """Another log stands in the place of the one that was followed, as after a restore; the reader goes on at its head.

    Attributes:
        was: how far the reader was in the log before.
        offset: the head of this one.
    """

    was: int
    offset: int


@attrs.frozen
class Ended:
    """The server ends the stream on purpose."""

    code: str


Step = Opened | Due | Passed | Missing | Rewound | Replaced | Ended


class Timeline:
    """Where a reader of one conversation stands.

    Args:
        after: offset to start after, or None to start with what happens from now on.
        again: where another log takes the place of the one that was followed, all of it is missing. Without, most of it would be
            what was shown before: it goes on with what is new.
    """

    def __init__(self, after: int | None, *, again: bool = False) -> None:
        self._again = again
        self._epoch: str | None = None
        self._offset = after

    @property
    def since(self) -> Since | None:
        """Where to resume; None until a reader that starts live was told where that is."""
        return None if self._offset is None else Since(self._offset, self._epoch)

    @property
    def offset(self) -> int:
        """Offset of the last event that was seen; 0 before any."""
        return self._offset or 0

    def seen(self, offset: int) -> None:
        """Everything up to `offset` was shown. It never moves back."""
        self._offset = max(self.offset, offset)

    def take(self, event: StreamEvent) -> tuple[Step, ...]:
        """What to do about an event, in order.

        Raises:
            TalkError: the event cannot be understood.
        """
        data = event.data.encode()
        match event.type:
            case "stream.open":
                return self._opened(decode(data, _Stand))
            case "stream.reset":
                return self._reset(decode(data, _Stand))
            case "stream.end":
                return (Ended(decode(data, _End).code),)
            case _:
                return self._event(decode(data, _Event))

    def _opened(self, stand: _Stand) -> tuple[Step, ...]:
        if self._offset is None:
            self._offset = stand.offset
        if self._epoch is None:  # a different one is no news before the reset that comes with it
            self._epoch = stand.epoch
        return (Opened(self._offset),)

    def _reset(self, stand: _Stand) -> tuple[Step, ...]:
        was, old_epoch = self.offset, self._epoch
        self._epoch = stand.epoch
        if old_epoch is not None and old_epoch != stand.epoch:
            if not self._again:
                self._offset = stand.offset
                return (Replaced(was, stand.offset),)
            self._offset = 0
        elif was > stand.offset:
            self._offset = stand.offset
            return (Rewound(was, stand.offset),)
        return (Missing(stand.offset, stand.reason),)

    def _event(self, event: _Event) -> tuple[Step, ...]:
        if event.offset is None or event.offset <= self.offset:
            return ()
        gap = (Missing(event.offset - 1, "gap"),) if event.offset > self.offset + 1 else ()
        if event.type == "message.created" and bytes(event.message):
            message = Message.decode(bytes(event.message))
            if message.offset != event.offset:
                raise TalkError("the stream contradicts itself: a message and its event have two offsets")
            return (*gap, Due(message))
        return (*gap, Passed(event.offset))
