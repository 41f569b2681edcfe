"""Housekeeping: deadlines, also of those who drain, the budget of all tails, and rooms that nobody needs any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from ._reads import Reads
from ._room import Room
from .core.config import EngineSettings
from .core.errors import EngineClosed
from .core.ids import ConversationId
from .core.kinds import EventType
from .core.messages import Event
from .core.principals import SYSTEM
from .ports import Store

_SWEEP_S: Final = 5.0
_UNHEARD_DRAIN_S: Final = 1.0  # for commits that nobody waits for any more


class Housekeeping:
    """The engine's child that looks after its rooms.

    Args:
        rooms: the engine's, which it takes those out of that nobody needs.
        store: is told when nobody waits for its commits any more.
        settings: bounds.
        clock: seconds, monotonic.
    """

    def __init__(
        self, rooms: dict[ConversationId, Room], store: Store, settings: EngineSettings, clock: Callable[[], float]
    ) -> None:
        self._draining = False
        self._rooms = rooms
        self._store = store
        self._settings = settings
        self._clock = clock
        self._owing: dict[Room, None] = {}  # not a set: rooms are tended in an order that a simulation can repeat

    def owe(self, room: Room) -> None:
        """Tend a room from now on, until it says that there is nothing more to tend."""
        self._owing[room] = None

    def drain(self, within_s: float, at_ms: int) -> None:
        """The engine takes no more commands: those who follow are told, by the actors.

        Args:
            within_s: how long loads may take from now on, seconds.
            at_ms: now, milliseconds since the epoch.
        """
        self._draining = True
        for room in list(self._rooms.values()):
            room.drain(within_s)
            if room.clients:
                event = Event(EventType.SERVER_DRAINING, room.id, None, at_ms, SYSTEM.author)
                room.announce(event, self._clock())

    def end_subscriptions(self) -> None:
        """The engine ends: nobody follows anything any more."""
        for room in list(self._rooms.values()):
            room.say_all()
            room.cut_all(EngineClosed())

    async def wait_settled(self, reads: Reads) -> None:
        """Wait until no conversation owes an answer, nor any read."""
        while any(  # noqa: ASYNC110  happens once, at shutdown; the state is spread over the actors
            reads.owing or room.owing for room in self._rooms.values()
        ):
            await trio.sleep(self._settings.tick_s / 10)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the child."""
        task_status.started()
        try:
            await self._tend_rooms()
        finally:  # the conversations have stopped, the storage actor has not
            if self._draining and not any(room.owing_posters for room in self._rooms.values()):
                self._store.drain(_UNHEARD_DRAIN_S)

    async def _tend_rooms(self) -> None:
        sweep_at = self._clock() + _SWEEP_S
        while True:
            await trio.sleep(self._settings.tick_s)
            now = self._clock()
            for room in [room for room in self._owing if not room.tend(now)]:
                self._owing.pop(room, None)
            if self._clock() >= sweep_at:
                sweep_at = self._clock() + _SWEEP_S
                self._sweep()

    def _sweep(self) -> None:
        for room in [room for room in self._rooms.values() if room.disposable]:
            del self._rooms[room.id]
        tails = [room.tail for room in self._rooms.values() if room.tail is not None]
        for tail in tails:
            tail.forget_page()  # a storm of returning readers is over within seconds
        excess = sum(tail.size_bytes for tail in tails) - self._settings.tails_bytes
        if excess <= 0:
            return
        # The rooms stand in the order of their making; among those, the ones without readers are the quiet ones.
        for room in sorted(self._rooms.values(), key=lambda room: len(room.clients)):
            if excess <= 0:
                break
            if room.tail is not None:
                excess -= room.tail.trim(1 + len(room.tail) // 8, room.tail.max_bytes // 8)
