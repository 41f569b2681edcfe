"""Slow mode: one post of an author in so many seconds. Sans-I/O; `conversation` says who is free of it.

Invariants: a turn is used by what is stored, and by what is on its way; what comes to nothing gives it back. Nobody waits longer
than the mode's own time, wherever the wall clock is set to. Bounded: past `SPEAKERS` the one that spoke longest ago is forgotten.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

SPEAKERS: Final = 10_000


class SlowMode:
    """Who spoke when, in one conversation."""

    __slots__ = ("_spoke",)

    def __init__(self) -> None:
        self._spoke: OrderedDict[str, int] = OrderedDict()

    def recall(self, spoken: Iterable[tuple[str, int]]) -> None:
        """Begin anew with who spoke lately.

        Args:
            spoken: author ids with the time, milliseconds since the epoch, oldest first.
        """
        self._spoke.clear()
        for author_id, at_ms in spoken:
            self._note(author_id, at_ms)

    def take(self, author_id: str, at_ms: int, slow_s: int) -> int:
        """Take an author's turn, if it has come.

        Returns:
            0 when it was taken, else how long there is to wait, milliseconds.
        """
        last_ms = self._spoke.get(author_id)
        if last_ms is not None:
            if last_ms > at_ms:  # the clock was set back
                last_ms = self._spoke[author_id] = at_ms
            left_ms = last_ms + 1000 * slow_s - at_ms
            if left_ms > 0:
                return left_ms
        self._note(author_id, at_ms)
        return 0

    def give_back(self, author_id: str, at_ms: int) -> None:
        """A post came to nothing: the turn that it took, at this time, is its author's again."""
        if self._spoke.get(author_id) == at_ms:
            del self._spoke[author_id]  # the turn before was over, or this one would not have been taken

    def _note(self, author_id: str, at_ms: int) -> None:
        self._spoke[author_id] = at_ms
        self._spoke.move_to_end(author_id)
        if len(self._spoke) > SPEAKERS:
            self._spoke.popitem(last=False)
