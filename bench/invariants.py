"""What a run must hold, counted exactly: order, gaps, duplicates and loss, per reader and per post. Pure.

Offsets of a conversation are gapless integers, so a reader that joined at some offset must see every later one once,
in order. `Ledger` counts one reader's departures from that, `PostLedger` those of the posts themselves (acknowledged
and never seen, or seen under two offsets), and `Verdict` adds them up.

Left out: whether a figure is good (budgets are in `scenarios.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, Self

import attrs


@attrs.frozen
class Account:
    """What one reader got, from its first expected offset to the last of the run."""

    received: int
    lost: int
    duplicated: int
    reordered: int


class Ledger:
    """One reader's accounting by offset.

    Every offset is exactly one of: received in order, received late (`reordered`: a greater one came first), received
    again (`duplicated`, also when it lies before the reader's start), or not received (`lost`, known at the end).
    Memory grows with the number of gaps, not with their length.
    """

    __slots__ = ("_first", "_gaps", "duplicated", "expect", "received", "reordered")

    def __init__(self, first: int) -> None:
        self._first: Final = first
        self._gaps: list[tuple[int, int]] = []  # half-open, sorted, disjoint, all below `expect`
        self.expect = first
        self.received = 0
        self.duplicated = 0
        self.reordered = 0

    @property
    def gapless(self) -> bool:
        """Whether everything before `expect` has come."""
        return not self._gaps

    def advance(self, to: int) -> None:
        """Count everything from `expect` up to, not including, `to` as received in order."""
        self.received += to - self.expect
        self.expect = to

    def take(self, offset: int) -> None:
        """Count one received event."""
        if offset >= self.expect:
            if offset > self.expect:
                self._gaps.append((self.expect, offset))
            self.received += 1
            self.expect = offset + 1
        elif self._fill(offset):
            self.received += 1
            self.reordered += 1
        else:
            self.duplicated += 1

    def _fill(self, offset: int) -> bool:
        at = bisect_right(self._gaps, offset, key=lambda gap: gap[0]) - 1
        if at < 0 or offset >= self._gaps[at][1]:
            return False
        low, high = self._gaps[at]
        self._gaps[at : at + 1] = [gap for gap in ((low, offset), (offset + 1, high)) if gap[0] < gap[1]]
        return True

    def finish(self, last: int) -> Account:
        """The account up to `last`, the greatest offset that this reader should have seen."""
        missing = sum(high - low for low, high in self._gaps)
        return Account(
            received=self.received,
            lost=missing + max(0, last + 1 - self.expect),
            duplicated=self.duplicated,
            reordered=self.reordered,
        )


class PostLedger:
    """The posts of a run: where each was sent, whether it was acknowledged, where it was seen. Memory: two entries a post."""

    __slots__ = ("_acked", "_rooms", "_seen", "_unseen", "corrupted", "doubled")

    def __init__(self) -> None:
        self._acked = 0
        self._rooms: dict[int, int] = {}
        self._seen: dict[int, tuple[int, int]] = {}
        self._unseen: set[int] = set()
        self.doubled = 0
        self.corrupted = 0

    def sent(self, number: int, room: int) -> None:
        """This post goes to that room. Posts of other processes are seen without being sent here."""
        self._rooms[number] = room

    def acked(self, number: int) -> None:
        """The server has promised that this post is kept. Once a post."""
        self._acked += 1
        if number not in self._seen:
            self._unseen.add(number)

    def seen(self, number: int, place: tuple[int, int]) -> None:
        """A reader was sent this post at this place (room, offset).

        A second place counts as doubled; a place in another room than it was sent to as corrupted, and not as seen.
        """
        if self._rooms.get(number, place[0]) != place[0]:
            self.corrupted += 1
            return
        self._unseen.discard(number)
        if self._seen.setdefault(number, place) != place:
            self.doubled += 1

    def acked_count(self) -> int:
        """How many posts were acknowledged."""
        return self._acked

    def lost(self) -> int:
        """How many posts were acknowledged and seen by no reader at all."""
        return len(self._unseen)


@attrs.frozen(kw_only=True)
class Verdict:
    """The invariants of a run, added up over readers and generator processes.

    Attributes:
        lost: Events that a connected reader should have seen and did not.
        posts_lost: Acknowledged posts that no reader saw.
        posts_doubled: Sightings of a post under a second offset.
        corrupted: Events whose text is not what was posted, or not in this room.
        cut_off: Connections that ended before the run did, or never came to be while it went on; what their readers
            missed is `undelivered`, not `lost`.
    """

    readers: int = 0
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    posts_acked: int = 0
    posts_lost: int = 0
    posts_doubled: int = 0
    corrupted: int = 0
    cut_off: int = 0
    undelivered: int = 0

    def plus(self, other: Verdict) -> Self:
        """Both together."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in attrs.fields_dict(Verdict)}
        return type(self)(**sums)

    def broken(self) -> tuple[str, ...]:
        """Names of the invariants that did not hold; empty when all did."""
        musts = ("lost", "duplicated", "reordered", "posts_lost", "posts_doubled", "corrupted", "cut_off")
        return tuple(name for name in musts if getattr(self, name))


def reader_verdict(account: Account, *, cut_off: bool) -> Verdict:
    """One reader's share of the verdict."""
    return Verdict(
        readers=1,
        received=account.received,
        lost=0 if cut_off else account.lost,
        duplicated=account.duplicated,
        reordered=account.reordered,
        cut_off=int(cut_off),
        undelivered=account.lost if cut_off else 0,
    )
