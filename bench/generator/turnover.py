"""Readers that come and go while posts go on: each that leaves is replaced in its room by one that has joined before.

A reader leaves only once its successor has joined and it has all that the successor was not sent; otherwise nobody would
see a post between the two, in a room with one reader.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from ..pace import Pace
from .seats import Room, Seat


class Turnover:
    """The comings and goings of one measured window.

    Args:
        pace: When somebody is to go.
        random: Who.
        seats: All seats of the generator; looked at, changed by `arrive` and `leave` alone.
        arrive: Opens a connection of a new reader of this room.
        leave: Lets a reader go, of its own will.
    """

    def __init__(
        self,
        pace: Pace,
        random: Random,
        seats: list[Seat],
        arrive: Callable[[Room], Seat],
        leave: Callable[[Seat], None],
    ) -> None:
        self._pace: Final = pace
        self._random: Final = random
        self._seats: Final = seats
        self._arrive: Final = arrive
        self._leave: Final = leave
        self._replaced: list[tuple[Seat, Seat]] = []

    def next_ns(self) -> int | None:
        """When somebody is to go next; None: nobody any more."""
        return self._pace.next_ns(0)

    def step(self, now_ns: int) -> None:
        """Let those come who are due, and those go whose successors are there."""
        for _ in self._pace.due(now_ns, 0):
            seat = self._random.choice(self._seats)
            if seat.live and not any(seat is leaving for leaving, _ in self._replaced):
                self._replaced.append((seat, self._arrive(seat.room)))
        waiting: list[tuple[Seat, Seat]] = []
        for seat, successor in self._replaced:
            if seat.live and successor.replaces(seat):
                self._leave(seat)
            elif seat.live and (successor.live or successor.joining):
                waiting.append((seat, successor))
        self._replaced = waiting
