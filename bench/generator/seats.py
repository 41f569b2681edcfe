"""Rooms as the generator sees them, and the seats in them: a reader over one connection or several after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..dialects import Dialect, Joined, Publication
from ..invariants import PostLedger, Verdict, reader_verdict
from ..texts import CorruptText, Texts
from .links import Phase, Reader
from .stream import WINDOW_BYTES, Follower, Stream

_MIN_WINDOW_BYTES: Final = 1 << 18


class Notes:
    """Looks at every event of the run once: is it one of our posts, and is it what was posted?"""

    def __init__(self, texts: Texts, posts: PostLedger) -> None:
        self._texts: Final = texts
        self._posts: Final = posts

    def note(self, room: int, publication: Publication) -> int:
        """When the post was meant to be sent; 0 for what is not ours.

        Args:
            room: Number of the room: an offset is a place in one room.
        """
        if publication.text is None:
            return 0
        try:
            mark = self._texts.read(publication.text)
        except CorruptText:
            self._posts.corrupted += 1
            return 0
        if mark is None:
            return 0
        self._posts.seen(mark.number, (room, publication.offset))
        return mark.intended_ns


class Room:
    """One room; its stream begins where the first reader joined.

    Args:
        number: Its place in the job.
        rooms: How many there are, to share the memory.
    """

    __slots__ = ("_dialect", "_notes", "_window_bytes", "name", "number", "stream")

    def __init__(self, number: int, name: str, rooms: int, dialect: Dialect, notes: Notes) -> None:
        self.number: Final = number
        self.name: Final = name
        self.stream: Stream | None = None
        self._dialect: Final = dialect
        self._notes: Final = notes
        self._window_bytes: Final = max(_MIN_WINDOW_BYTES, WINDOW_BYTES // rooms)

    def follow(self, offset: int, *, sampled: bool) -> Follower:
        """A reader that has everything up to this offset."""
        if self.stream is None:
            self.stream = Stream(offset + 1, self._dialect, self._note, self._window_bytes)
        return Follower(self.stream, offset + 1, sampled=sampled)

    def _note(self, publication: Publication) -> int:
        return self._notes.note(self.number, publication)

    def last_offset(self) -> int:
        """The greatest offset that was received; 0 when nobody has joined."""
        return self.stream.next_offset - 1 if self.stream else 0


class Seat:
    """One reader of a room. Its follower outlives its connections."""

    __slots__ = ("_caught_up", "epoch", "follower", "link", "resumed", "room", "sampled", "stalled", "target")

    def __init__(self, room: Room, *, sampled: bool, caught_up: Callable[[], None]) -> None:
        self.room: Final = room
        self.sampled: Final = sampled
        self.follower: Follower | None = None
        self.link: Reader | None = None
        self.epoch = ""
        self.resumed = True
        self.stalled = False
        self.target: int | None = None  # what a returning reader must reach
        self._caught_up: Final = caught_up

    def follow(self, joined: Joined) -> Follower:
        """A connection is live: the follower that accounts for it, the old one where there is one."""
        self.epoch = joined.epoch
        self.resumed = joined.resumed
        if self.follower is None:
            self.follower = self.room.follow(joined.offset, sampled=self.sampled)
        return self.follower

    def reached(self) -> None:
        """Tell once when a returning reader has everything that it missed."""
        if self.target is not None and self.follower is not None and self.follower.next_offset() > self.target:
            self.target = None
            self._caught_up()

    @property
    def live(self) -> bool:
        """Whether it is connected, and reads."""
        return self.link is not None and self.link.phase is Phase.LIVE and not self.stalled

    @property
    def joining(self) -> bool:
        """Whether its connection is on its way."""
        return self.link is not None and self.link.phase in (Phase.OPENING, Phase.JOINING)

    def replaces(self, other: Seat) -> bool:
        """Whether it is live, and the other one was sent everything that came before that."""
        if not self.live or self.link is None or self.link.joined is None or other.follower is None:
            return False
        return other.follower.next_offset() > self.link.joined.offset

    def behind(self, offset: int) -> bool:
        """Whether it is live and was not sent this offset yet."""
        return self.live and self.follower is not None and self.follower.next_offset() <= offset

    def delivered(self) -> int:
        """Events received so far."""
        return self.follower.delivered() if self.follower else 0

    def verdict(self, last_offset: int) -> Verdict:
        """Its share of the verdict; one that stalls on purpose or has left is held to what it got, not to the end."""
        if self.follower is None:  # it never got in
            return Verdict(readers=1, cut_off=1)
        ledger = self.follower.settled()
        if self.stalled:
            return reader_verdict(ledger.finish(ledger.expect - 1), cut_off=False)
        return reader_verdict(ledger.finish(last_offset), cut_off=not self.live)

    def leave(self) -> Verdict:
        """Its share of the verdict when it leaves of its own will."""
        if self.follower is None:
            return Verdict()
        last = self.follower.interrupted()
        return reader_verdict(self.follower.settled().finish(last), cut_off=False)
