"""Reading the rooms back after a load: which page to ask for next, and what its answer says. Pure.

Every room is read from its beginning, one page after another; pages of different rooms may be out at the same time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs
import msgspec

from .ledger import RestLedger
from .pages import read_page
from .wire import Answer

AUDIT_ITEMS: Final = 500
_LATER: Final = frozenset({429, 503})


class Unreadable(Exception):
    """A room cannot be read back; the message says what was answered."""


@attrs.frozen
class Step:
    """A page of a room, by its number, after an offset."""

    room: int
    after: int


class Audit:
    """Hands out pages to ask for, and gives what they show to the ledger.

    Args:
        rooms: Ids of all rooms.
        ledger: Learns what is stored.
    """

    def __init__(self, rooms: Sequence[str], ledger: RestLedger) -> None:
        self._rooms: Final = rooms
        self._ledger: Final = ledger
        self._todo: Final = deque(Step(room, 0) for room in range(len(rooms)))
        self._left = len(rooms)

    @property
    def done(self) -> bool:
        """Whether every room was read to its end."""
        return not self._left

    def next(self) -> Step | None:
        """What to ask for now; None when every room is done or its next page is out."""
        return self._todo.popleft() if self._todo else None

    def path(self, step: Step) -> str:
        """Of the page, below the conversations."""
        return f"{self._rooms[step.room]}/messages?after={step.after}&limit={AUDIT_ITEMS}"

    def answered(self, step: Step, answer: Answer) -> None:
        """Take the answer; a server that has no time is asked again.

        Raises:
            Unreadable: It is no page.
        """
        if answer.status in _LATER:
            self._todo.append(step)
            return
        try:
            page = read_page(answer.body)
        except msgspec.DecodeError as exc:
            raise Unreadable(f"a room could not be read back: status {answer.status}, {exc}") from exc
        for message in page.messages:
            self._ledger.stored(step.room, message)
        if page.next is None:
            self._left -= 1
        elif page.next <= step.after:
            raise Unreadable(f"a room could not be read back: the page after {step.after} leads to {page.next}")
        else:
            self._todo.append(Step(step.room, page.next))
