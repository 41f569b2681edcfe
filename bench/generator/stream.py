"""Exact accounting of two million deliveries a second without parsing them: readers compared byte by byte. Pure.

The frames for all readers of a room are the same bytes. So the room's **stream** is kept once: the pushes in order,
each parsed by whoever got it first and added only when it continues the offsets without a gap. A **follower** is one
reader: a position on that stream. Bytes that equal the stream at the position are, without a look inside, the next
events in order; that is one memory comparison per read, wherever the reads are cut.

Bytes that differ are taken frame by frame from the last boundary: a ping or reply is answered or passed over; a frame
that continues the stream extends it; anything else **detaches** the follower, which is then parsed and counted by
offset (lost, doubled, out of order) until the offset it expects next is a boundary of the stream again.

Bounds: the stream keeps the last `WINDOW_BYTES` of bytes, and a few words for every post of the run. A follower in
the middle of a frame that has left the window cannot be judged any more and is cut off (`WireError`); no server
buffers that much for a reader.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from ..dialects import Closed, Dialect, Joined, Pinged, Publication
from ..invariants import Ledger
from ..wire import Frame, WireError

WINDOW_BYTES: Final = 64 * 1024 * 1024
_GAP: Final = b"\0"

Heard = Pinged | Closed
Note = Callable[[Publication], int]
"""Looks at a publication and returns when its post was meant to be sent, 0 for foreign ones."""


class Stream:
    """The pushes of one room, from the offset that the first reader expects.

    Args:
        first: That offset.
        dialect: How its bytes are read.
        note: Called once for every publication that extends the stream or was counted by a detached follower.
    """

    def __init__(self, first: int, dialect: Dialect, note: Note, window_bytes: int = WINDOW_BYTES) -> None:
        self.dialect: Final = dialect
        self.note: Final = note
        self._window_bytes: Final = window_bytes
        self._bytes = bytearray()
        self._base = 0
        # Boundary i: a frame ends here, the next offset is that, and its posts were meant for those times.
        self._ends = [0]
        self._nexts = [first]
        self._intended: list[Sequence[int]] = [()]
        self._missed: Sequence[Publication] = ()

    @property
    def end(self) -> int:
        """Position after the last frame."""
        return self._ends[-1]

    @property
    def next_offset(self) -> int:
        """The offset that continues the stream."""
        return self._nexts[-1]

    def matches(self, data: bytes, position: int) -> bool:
        """Whether the stream holds exactly these bytes at this position."""
        at = position - self._base
        return at >= 0 and self._bytes.startswith(data, at)

    def extend(self, position: int, raw: bytes, publications: Sequence[Publication]) -> bool:
        """Add a frame if `position` is the end and its publications continue the offsets; say whether it was added."""
        first = self.next_offset
        if position != self.end or [pub.offset for pub in publications] != list(
            range(first, first + len(publications))
        ):
            return False
        self._bytes += raw
        self._ends.append(position + len(raw))
        self._nexts.append(first + len(publications))
        self._intended.append([self.note(pub) for pub in publications])
        if len(self._bytes) > self._window_bytes:
            keep_from = self.boundary(self._base + len(self._bytes) // 2)
            del self._bytes[: keep_from - self._base]
            self._base = keep_from
        return True

    def skip(self, to: int) -> None:
        """Go on at a later offset: what lies between came to all readers in answers, not as frames.

        A byte that no frame begins with keeps readers that stand before the gap from being taken across it.
        """
        self._bytes += _GAP
        self._ends.append(self.end + len(_GAP))
        self._nexts.append(to)
        self._intended.append(())

    def noted_before(self, missed: Sequence[Publication]) -> bool:
        """Whether this very list was noted last; otherwise it is noted now, and must be without a gap to be kept."""
        if missed is self._missed:
            return True
        for publication in missed:
            self.note(publication)
        first = missed[0].offset
        self._missed = missed if [p.offset for p in missed] == list(range(first, first + len(missed))) else ()
        return False

    def boundary(self, position: int) -> int:
        """The last frame boundary at or before a position."""
        return self._ends[bisect_right(self._ends, position) - 1]

    def between(self, start: int, end: int) -> bytes | None:
        """The bytes between two positions; None when they have left the window."""
        if start < self._base:
            return None
        return bytes(self._bytes[start - self._base : end - self._base])

    def offset_at(self, position: int) -> int:
        """The next offset of a reader at this position; an unfinished frame does not count."""
        return self._nexts[bisect_right(self._ends, position) - 1]

    def position_of(self, offset: int) -> int | None:
        """The boundary at which this offset is next and whose bytes are still held, if there is one."""
        at = bisect_left(self._nexts, offset)
        if at == len(self._nexts) or self._nexts[at] != offset or self._ends[at] < self._base:
            return None
        return self._ends[at]

    def intended_between(self, start: int, end: int) -> list[int]:
        """Intended times of the posts whose frames end after `start` and not after `end`."""
        low, high = bisect_right(self._ends, start), bisect_right(self._ends, end)
        return [time_ns for times in self._intended[low:high] for time_ns in times]


class Follower:
    """One reader of a stream, accounted by offset, over one connection or several after another.

    Args:
        stream: The room's stream.
        first: The offset this reader expects first.
        mask: Of its connection, for replies to pings.
        sampled: Whether `fresh` reports its deliveries.
    """

    __slots__ = ("_fresh", "_fresh_from", "_heard", "_ledger", "_mask", "_position", "_rest", "_stream", "sampled")

    def __init__(self, stream: Stream, first: int, *, mask: bytes = b"\0\0\0\0", sampled: bool = False) -> None:
        self.sampled: Final = sampled
        self._stream: Final = stream
        self._ledger: Final = Ledger(first)
        self._mask = mask
        self._position = stream.position_of(first)
        self._rest = b""
        self._heard: list[Heard] = []
        self._fresh: list[int] = []
        self._fresh_from = self._position

    def received(self, data: bytes) -> Sequence[Heard]:
        """Account for the bytes of one read; return what wants an answer.

        Raises:
            WireError: The bytes are no frames of the dialect, or cannot be judged any more.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position = self._position
        if position is not None and self._stream.matches(data, position):
            self._position = position + len(data)
            return ()
        self._by_frame(data)
        heard, self._heard = self._heard, []
        return heard

    def interrupted(self) -> int:
        """The connection has ended: forget its unfinished frame and return the last offset, to resume after."""
        ledger = self.settled()
        self._rest = b""
        self._follow_again()
        return ledger.expect - 1

    def joined(self, joined: Joined, mask: bytes) -> None:
        """A connection of this reader is live: account for what came with the answer."""
        self._mask = mask
        missed = joined.missed
        if not missed:
            return
        ledger = self.settled()
        if self._stream.noted_before(missed) and missed[0].offset == ledger.expect:
            ledger.advance(missed[-1].offset + 1)  # byte for byte what another reader was sent, which was looked at
        else:
            for publication in missed:
                ledger.take(publication.offset)
        self._follow_again()

    def delivered(self) -> int:
        """Events received so far, each counted once."""
        if self._position is None:
            return self._ledger.received
        return self._ledger.received + self._stream.offset_at(self._position) - self._ledger.expect

    def next_offset(self) -> int:
        """The offset that this reader expects next."""
        return self._ledger.expect if self._position is None else self._stream.offset_at(self._position)

    def settled(self) -> Ledger:
        """The ledger, brought up to the last whole frame."""
        if self._position is not None:
            self._ledger.advance(self._stream.offset_at(self._position))
        return self._ledger

    def fresh(self) -> list[int]:
        """Intended times of the posts received since the last call; only for a sampled follower."""
        times, self._fresh = self._fresh, []
        self._collect(times)
        return times

    def _collect(self, times: list[int]) -> None:
        if self._position is not None and self._fresh_from is not None and self._position > self._fresh_from:
            times += self._stream.intended_between(self._fresh_from, self._position)
            self._fresh_from = self._position

    def _by_frame(self, data: bytes) -> None:
        data = self._back_to_boundary(data)
        frames, rest_at = self._stream.dialect.split(data)
        for frame in frames:
            raw = data[frame.start : frame.end]
            if self._position is not None and self._stream.matches(raw, self._position):
                self._position += len(raw)
            else:
                self._frame(frame, raw)
        self._rest = data[rest_at:]

    def _back_to_boundary(self, data: bytes) -> bytes:
        if self._position is None:
            return data
        start = self._stream.boundary(self._position)
        seen = self._stream.between(start, self._position)
        if seen is None and start < self._position:
            raise WireError("the reader is further behind than the window")
        self._position = start
        return (seen or b"") + data

    def _frame(self, frame: Frame, raw: bytes) -> None:
        words = self._stream.dialect.words(frame, self._mask)
        found = [word for word in words if isinstance(word, Publication)]
        self._heard += [word for word in words if isinstance(word, Pinged | Closed)]
        pure = len(found) == len(words)
        if found and pure and self._position is not None and self._stream.extend(self._position, raw, found):
            self._position += len(raw)
        elif found:
            self._count(found)

    def _count(self, found: Sequence[Publication]) -> None:
        """Count by offset what the stream does not say, then follow the stream again if it goes on from there."""
        ledger = self.settled()
        if self.sampled:
            self._collect(self._fresh)
        for publication in found:
            ledger.take(publication.offset)
            intended_ns = self._stream.note(publication)
            if self.sampled:
                self._fresh.append(intended_ns)
        self._follow_again()

    def _follow_again(self) -> None:
        ledger = self._ledger
        if ledger.gapless and ledger.expect > self._stream.next_offset:
            self._stream.skip(ledger.expect)
        self._position = self._fresh_from = self._stream.position_of(ledger.expect)
