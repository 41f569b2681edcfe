"""What a soak must hold, checked with every delivery: nothing lost, doubled, reordered or altered. Pure.

A post is a number. A room's log is what everybody has agreed on so far: the first who sees a post at an offset, its poster or
a reader, writes it down, and all others must see the same. A reader is a cursor, so an event is in its place, seen
again, or the one after a gap. At the end `finish` compares the acks with the log that the store gave.

Memory: a number for each post of the run, none for a delivery. Left out: how long anything took.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import attrs

FOREIGN: Final = -1
"""An event that shows none of our posts."""
_NOTES: Final = 20


@attrs.frozen(kw_only=True)
class Checks:
    """What was checked, and what was broken.

    Attributes:
        posted, acked: posts, not tries. What was not acked at the end was still under way.
        delivered: events taken by readers, pages of history included.
        lost: acknowledged, and not in the log at the end under its offset; or a gap in what a reader got.
        duplicated: seen again by the same reader, or under two offsets.
        reordered: another post than others saw at that offset.
        corrupted: texts that are not what was posted.
        behind: readers that had not reached the head when the time to settle was over.
        notes: what was broken, the first 20, for people.
    """

    posted: int = 0
    acked: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    corrupted: int = 0
    behind: int = 0
    notes: tuple[str, ...] = ()

    def broken(self) -> tuple[str, ...]:
        """Names of what did not hold."""
        return tuple(name for name in ("lost", "duplicated", "reordered", "corrupted", "behind") if getattr(self, name))


@attrs.define(eq=False)
class Room:
    """One room: its log as known so far, offset to post."""

    name: str
    epoch: str
    log: dict[int, int] = attrs.field(factory=dict)
    head: int = 0


@attrs.define(eq=False)
class Cursor:
    """One reader in one room: the last offset that it has seen."""

    reader: str
    room: Room
    offset: int


class SoakLedger:
    """The notebook of one soak."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._offsets: dict[int, tuple[Room, int]] = {}  # of acked posts
        self._places: dict[int, int] = {}
        self._notes: list[str] = []

    def posting(self) -> int:
        """The number of the next post."""
        self._counts["posted"] += 1
        return self._counts["posted"] - 1

    def acked(self, room: Room, number: int, offset: int) -> None:
        """A post was acknowledged under an offset."""
        self._counts["acked"] += 1
        self._offsets[number] = (room, offset)
        self._agree(room, offset, number, "its poster")

    def corrupted(self, reader: str) -> None:
        """A text was ours and is not what was posted."""
        self._break("corrupted", f"{reader} got a text that nobody posted")

    def seen(self, cursor: Cursor, offset: int, number: int) -> None:
        """A reader got a durable event."""
        self._counts["delivered"] += 1
        room = cursor.room
        if offset <= cursor.offset:
            self._break("duplicated", f"{cursor.reader} got {offset} of {room.name} after {cursor.offset}")
            return
        if offset > cursor.offset + 1:
            missed = offset - cursor.offset - 1
            self._break("lost", f"{cursor.reader} got {offset} of {room.name} after {cursor.offset}", missed)
        cursor.offset = offset
        self._agree(room, offset, number, cursor.reader)

    def reset(self, cursor: Cursor, why: str) -> None:
        """The server could not resume a position that it must know."""
        self._break("lost", f"{cursor.reader} could not resume {cursor.room.name} at {cursor.offset}: {why}")

    def finish(self, stored: dict[Room, dict[int, int]], behind: int) -> Checks:
        """Compare with the logs that the store gave, and add up.

        Args:
            stored: the whole log of every room, offset to post.
            behind: readers that have not reached the head.
        """
        for number, (room, offset) in self._offsets.items():
            if room in stored and stored[room].get(offset, FOREIGN) != number:
                self._break("lost", f"post {number} was acked at {offset} of {room.name} and is not there")
        for room, log in stored.items():
            for offset, number in log.items():
                self._agree(room, offset, number, "the store")
        return Checks(**self._counts, behind=behind, notes=tuple(self._notes))

    def so_far(self) -> Checks:
        """Before the end: what has been found until now."""
        return Checks(**self._counts, notes=tuple(self._notes))

    def _agree(self, room: Room, offset: int, number: int, who: str) -> None:
        room.head = max(room.head, offset)
        known = room.log.setdefault(offset, number)
        if known != number:
            self._break("reordered", f"{who} has post {number} at {offset} of {room.name}, others have {known}")
        if number != FOREIGN and self._places.setdefault(number, offset) != offset:
            self._break("duplicated", f"{who} has post {number} at {offset} of {room.name} and {self._places[number]}")

    def _break(self, what: str, note: str, count: int = 1) -> None:
        self._counts[what] += count
        if len(self._notes) < _NOTES:
            self._notes.append(note)
