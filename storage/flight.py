"""Flight: the batches of one transaction on their way, and what is known of each of their rows. No I/O.

A flight starts as one part holding every row. A part that the store refuses because of its content is halved, by conversation
first, then by row, until the poison row stands alone; parts keep their order, so a conversation's rows do too. The part in
front is the only one that may have been sent with an unknown outcome, besides those it was halved into.

Invariants: every row of a batch gets exactly one result; a batch leaves with its last result, in `take_settled`; a batch goes
back to the queue (`take_unsent`) only if none of its rows is or may be stored.
"""

from collections import deque
from collections.abc import Sequence

import attrs

from ..engine.core.batch import Batch, Rejected, Result, Row
from ..engine.core.errors import EngineError, OutcomeUnknown, StoreUnavailable

Settled = tuple[Batch, Sequence[Result]]


@attrs.define(eq=False)
class _Ticket:
    """One batch and its results so far. `missing` counts rows without one."""

    batch: Batch
    results: list[Result | None]
    missing: int
    touched: bool = False

    def give(self, index: int, result: Result) -> None:
        self.results[index] = result
        self.missing -= 1
        self.touched = True


@attrs.define(eq=False)
class _Place:
    """Where the result of one row goes."""

    ticket: _Ticket
    index: int

    @property
    def row(self) -> Row:
        return self.ticket.batch.rows[self.index]


@attrs.define(eq=False)
class Part:
    """Rows to be committed in one transaction. `again`: some may be stored already."""

    places: list[_Place]
    again: bool = False

    @property
    def rows(self) -> list[Row]:
        """The rows, in order."""
        return [place.row for place in self.places]


class Flight:
    """One transaction's worth of batches, until each is settled or put back.

    Rows that were withdrawn before are left out and rejected as unavailable.

    Attributes:
        sent_s: when the last part left for the store, on the writer's clock; told by the writer.
    """

    __slots__ = ("_parts", "_tickets", "sent_s")

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.sent_s: float | None = None
        self._tickets = [_Ticket(batch, [None] * len(batch.rows), len(batch.rows)) for batch in batches]
        places: list[_Place] = []
        for ticket in self._tickets:
            for index, row in enumerate(ticket.batch.rows):
                if row.withdrawn:
                    ticket.results[index] = Rejected(StoreUnavailable())
                    ticket.missing -= 1
                else:
                    places.append(_Place(ticket, index))
        self._parts = deque([Part(places)] if places else ())

    @property
    def front(self) -> Part | None:
        """The part to commit next; None when nothing is left to send."""
        return self._parts[0] if self._parts else None

    @property
    def over(self) -> bool:
        """Whether every batch has left."""
        return not self._tickets

    def mark_sent(self) -> None:
        """The front part leaves for the store now."""
        for place in self._parts[0].places:
            place.ticket.batch.sent = True

    def known(self, results: Sequence[Result]) -> None:
        """The front part is committed, with these results.

        Raises:
            ValueError: another number of results than rows (a bug in the backend).
        """
        places = self._parts[0].places
        if len(results) != len(places):
            raise ValueError(f"{len(results)} results for {len(places)} rows")
        self._parts.popleft()
        for place, result in zip(places, results, strict=True):
            place.ticket.give(place.index, result)

    def unknown(self) -> None:
        """The front part may be stored; it stays in front and is sent again."""
        self._parts[0].again = True

    def refused(self, error: EngineError) -> bool:
        """The front part was refused for its content. Returns whether a single row was, and is rejected with `error`."""
        part = self._parts.popleft()
        if len(part.places) == 1:
            place = part.places[0]
            place.ticket.give(place.index, Rejected(error))
            return True
        first, second = _halve(part.places)
        self._parts.extendleft([Part(second, part.again), Part(first, part.again)])
        return False

    def take_settled(self) -> list[Settled]:
        """Take out the batches whose last result came in."""
        settled: list[Settled] = []
        rest: list[_Ticket] = []
        for ticket in self._tickets:
            if ticket.missing:
                rest.append(ticket)
            else:
                ticket.batch.sent_s = self.sent_s
                settled.append((ticket.batch, [result for result in ticket.results if result is not None]))
        self._tickets = rest
        return settled

    def take_unsent(self) -> list[Batch]:
        """The store went away: take out the batches that certainly are not stored, in order, as if never sent."""
        bound = {place.ticket for part in self._parts if part.again for place in part.places}
        unsent = [ticket for ticket in self._tickets if not ticket.touched and ticket not in bound]
        leaving = set(unsent)
        for part in self._parts:
            part.places = [place for place in part.places if place.ticket not in leaving]
        self._parts = deque(part for part in self._parts if part.places)
        self._tickets = [ticket for ticket in self._tickets if ticket not in leaving]
        for ticket in unsent:
            ticket.batch.sent = False
        return [ticket.batch for ticket in unsent]

    def give_up(self, error: EngineError) -> list[Settled]:
        """Reject every row without a result: those that may be stored as of unknown outcome, the others with `error`."""
        for part in self._parts:
            for place in part.places:
                place.ticket.give(place.index, Rejected(OutcomeUnknown() if part.again else error))
        self._parts.clear()
        return self.take_settled()


def _halve(places: list[_Place]) -> tuple[list[_Place], list[_Place]]:
    """Split two or more rows into two halves that are not empty; conversations stay whole while there are several."""
    groups: dict[str, list[_Place]] = {}
    for place in places:
        groups.setdefault(place.row.conversation, []).append(place)
    if len(groups) == 1:
        middle = len(places) // 2
        return places[:middle], places[middle:]
    several = list(groups.values())
    middle = len(several) // 2
    return [p for group in several[:middle] for p in group], [p for group in several[middle:] for p in group]
