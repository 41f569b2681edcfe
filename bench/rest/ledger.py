"""What a REST load must hold, counted exactly: every acknowledged post is stored once, as it was posted and in order. Pure.

A post is sent, perhaps acknowledged (201 with an id and an offset), and afterwards the rooms are read back whole. Then
each acknowledged post must stand at its offset, with its id and its text, and nowhere else; the posts of one
connection to one room must stand in the order in which they were sent, since each was sent after the answer to the one
before. Each departure is counted once, under one name of `Verdict`:

- `posts_lost`: acknowledged and not stored;
- `posts_doubled`: stored again;
- `corrupted`: stored, or acknowledged, with another text or id, or stored and never posted;
- `reordered`: stored elsewhere than was acknowledged, or before an earlier post of the same connection;
- `lost`, `duplicated`: offsets that the pages left out, or showed twice.

Left out: reads under load (`pages.py`).
"""

from __future__ import annotations

from typing import Final

import attrs
import msgspec

from ..invariants import Ledger, Verdict
from ..texts import CorruptText, Texts


class Message(msgspec.Struct, frozen=True):
    """A message as REST shows it; only what is checked here."""

    id: str
    offset: int
    text: str


@attrs.define
class _Post:
    """One post. `acked` and `seen` are what the server said of it, and where it was found."""

    connection: int
    room: int
    intended_ns: int
    acked: Message | None = None
    seen: list[int] = attrs.field(factory=list)


class RestLedger:
    """The posts of a run. Memory: one entry a post.

    Args:
        texts: What posts say.
        rooms: How many rooms there are.
    """

    def __init__(self, texts: Texts, rooms: int) -> None:
        self._texts: Final = texts
        self._posts: Final[list[_Post]] = []
        self._places: Final[dict[tuple[int, int], int]] = {}  # where a post was acknowledged to stand
        self._offsets: Final = [Ledger(1) for _ in range(rooms)]
        self._altered: Final[set[int]] = set()
        self.corrupted = 0

    def sent(self, connection: int, room: int, intended_ns: int) -> tuple[int, str]:
        """Note the next post; returns its number and its text."""
        number = len(self._posts)
        self._posts.append(_Post(connection, room, intended_ns))
        return number, self._texts.write(number, intended_ns)

    def acked(self, number: int, message: Message) -> None:
        """The server has promised that this post is kept, and showed the message."""
        post = self._posts[number]
        post.acked = message
        self._places[post.room, message.offset] = number
        if message.text != self._texts.write(number, post.intended_ns):
            self.corrupted += 1

    def stored(self, room: int, message: Message) -> None:
        """A page of the room showed this message."""
        duplicated = self._offsets[room].duplicated
        self._offsets[room].take(message.offset)
        if self._offsets[room].duplicated > duplicated:
            return  # counted as that
        number = self._number(room, message.text)
        if number is None:
            self.corrupted += 1
            place = self._places.get((room, message.offset))
            if place is not None:
                self._altered.add(place)
            return
        post = self._posts[number]
        post.seen.append(message.offset)
        if post.acked is not None and post.acked.offset == message.offset and post.acked.id != message.id:
            self.corrupted += 1

    def acked_in(self, room: int) -> list[Message]:
        """What was acknowledged in a room, by offset."""
        found = [post.acked for post in self._posts if post.room == room and post.acked is not None]
        return sorted(found, key=lambda message: message.offset)

    def verdict(self) -> Verdict:
        """The account, once every room has been read back."""
        acked = [post for post in self._posts if post.acked is not None]
        lost = sum(
            not post.seen and number not in self._altered for number, post in enumerate(self._posts) if post.acked
        )
        accounts = [ledger.finish(ledger.expect - 1) for ledger in self._offsets]
        return Verdict(
            posts_acked=len(acked),
            posts_lost=lost,
            posts_doubled=sum(len(post.seen) - 1 for post in self._posts if post.seen),
            corrupted=self.corrupted,
            reordered=self._moved() + sum(account.reordered for account in accounts),
            lost=sum(account.lost for account in accounts),
            duplicated=sum(account.duplicated for account in accounts),
        )

    def _moved(self) -> int:
        last: dict[tuple[int, int], int] = {}
        moved = 0
        for post in self._posts:
            if not post.seen:
                continue
            if post.acked is not None and post.acked.offset not in post.seen:
                moved += 1
                continue  # where it stands says nothing about the others
            at = post.seen[0] if post.acked is None else post.acked.offset
            line = (post.connection, post.room)
            moved += at < last.get(line, 0)
            last[line] = max(last.get(line, 0), at)
        return moved

    def _number(self, room: int, text: str) -> int | None:
        """Which post this text is; None when it is none of this room's, or not as it was posted."""
        try:
            mark = self._texts.read(text)
        except CorruptText:
            return None
        if mark is None or mark.number >= len(self._posts):
            return None
        post = self._posts[mark.number]
        return mark.number if (post.room, post.intended_ns) == (room, mark.intended_ns) else None
