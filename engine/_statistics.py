"""Figures of a running engine and of its rooms: snapshots for operators, metrics and tests."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping
from typing import Final

import attrs

from ._meters import Meters
from ._reads import Reads
from ._room import Room
from .core.histogram import Distribution
from .core.subscriber import Stage

ROOMS_SHOWN: Final = 100
RECENT_MS: Final = 10_000
"""What of a room counts as recent."""
_FOLLOWING: Final = frozenset({Stage.LIVE, Stage.PAGING})


@attrs.frozen
class RoomStatistics:
    """Figures of one live conversation.

    Attributes:
        waiting: posts behind the batch in flight.
        mailbox_items: commands that wait for the actor.
        lag_items: how many events the slowest subscriber is behind the head.
        behind: subscribers that are behind it now: the slow ones, and while a pass is under way those that it has not reached.
        recent_items: events of the last `RECENT_MS`, as far as the tail reaches.
    """

    id: str
    head: int
    subscribers: int
    tail_items: int
    tail_bytes: int
    waiting: int
    mailbox_items: int
    lag_items: int
    behind: int
    recent_items: int


@attrs.frozen
class EngineStatistics:
    """Figures of a running engine, over all live conversations. `rooms` lists the loudest, as many as were asked
    for: those in which the most was delivered lately, then those with the most subscribers.

    Attributes:
        waiting: posts behind the batches in flight.
        mailbox_items: commands that wait in mailboxes; `largest_mailbox_items` in the fullest of them.
        quarantined: conversations in quarantine now.
        pages_read: pages of history and of the log that the store was asked for since the engine was opened.
        tail_replays: joins since then that were given what they had missed from memory, without the store.
        quarantines: how often a conversation was quarantined since the engine was opened.
        passes: seconds from a commit being known to the end of the pass that gave it to the readers: the fan-out's lag.
        delivered: events that passes gave to readers since the engine was opened.
        cut_off: subscriptions that the engine ended since then, by error code.
        crashes: of conversations' actors since the engine was opened; each but the last before a quarantine is a restart.
    """

    conversations: int
    subscribers: int
    waiting: int
    mailbox_items: int
    largest_mailbox_items: int
    paging_subscribers: int
    tail_bytes: int
    pages_read: int
    tail_replays: int
    quarantined: int
    quarantines: int
    crashes: int
    passes: Distribution
    delivered: int
    cut_off: Mapping[str, int]
    rooms: tuple[RoomStatistics, ...]


def statistics_of(
    rooms: Collection[Room], reads: Reads, meters: Meters, *, listed: int, quarantined: int, crashes: int, now_ms: int
) -> EngineStatistics:
    """A snapshot of all rooms; goes once over them, and over the subscribers of those it lists.

    Args:
        rooms: in memory now.
        reads, meters: count what was read for them, and what they did.
        listed: how many of them to list.
        quarantined, crashes: as the parts that count them say.
        now_ms: the wall clock.
    """
    recent_ms = now_ms - RECENT_MS

    def loudness(room: Room) -> tuple[int, int]:
        readers = len(room.clients)
        recent = 0 if room.machine is None else room.machine.tail.since(recent_ms)
        return recent * max(1, readers), readers

    depths = [len(room.slot.mailbox) for room in rooms]
    machines = [room.machine for room in rooms if room.machine is not None]
    return EngineStatistics(
        conversations=len(depths),
        subscribers=sum(len(room.clients) for room in rooms),
        waiting=sum(len(machine.waiting) for machine in machines),
        mailbox_items=sum(depths),
        largest_mailbox_items=max(depths, default=0),
        paging_subscribers=reads.paging,
        tail_bytes=sum(machine.tail.size_bytes for machine in machines),
        pages_read=reads.pages_read,
        tail_replays=reads.tail_replays,
        quarantined=quarantined,
        quarantines=meters.quarantines,
        crashes=crashes,
        passes=meters.passes.read(),
        delivered=meters.delivered,
        cut_off=dict(meters.cut_off),
        rooms=tuple(_statistics_of_room(room, recent_ms) for room in _largest(listed, rooms, loudness)),
    )


def _largest(count: int, rooms: Collection[Room], key: Callable[[Room], tuple[int, int]]) -> list[Room]:
    """So many of them; a scrape that lists none asks none."""
    return heapq.nlargest(count, rooms, key=key) if count else []


def _statistics_of_room(room: Room, recent_ms: int) -> RoomStatistics:
    """A snapshot of a room; goes once over its subscribers."""
    machine = room.machine
    head = 0 if machine is None else machine.tail.head
    lags = [head - each.cursor for each in room.subscribers() if each.stage in _FOLLOWING and each.cursor < head]
    return RoomStatistics(
        room.id,
        head,
        len(room.clients),
        0 if machine is None else len(machine.tail),
        0 if machine is None else machine.tail.size_bytes,
        0 if machine is None else len(machine.waiting),
        len(room.slot.mailbox),
        max(lags, default=0),
        len(lags),
        0 if machine is None else machine.tail.since(recent_ms),
    )
