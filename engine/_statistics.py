"""Figures of a running engine and of its rooms: snapshots for operators, metrics and tests."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from typing import Final

import attrs

from ._meters import Meters
from ._reads import Reads
from ._room import Room
from .core.histogram import Distribution
from .core.subscriber import Stage

ROOMS_SHOWN: Final = 100
_FOLLOWING: Final = frozenset({Stage.LIVE, Stage.PAGING})


@attrs.frozen
class RoomStatistics:
    """Figures of one live conversation.

    Attributes:
        waiting: posts behind the batch in flight.
        mailbox_items: commands that wait for the actor.
        lag_items: how many events the slowest subscriber is behind the head.
    """

    id: str
    head: int
    subscribers: int
    tail_items: int
    tail_bytes: int
    waiting: int
    mailbox_items: int
    lag_items: int


@attrs.frozen
class EngineStatistics:
    """Figures of a running engine, over all live conversations. `rooms` lists those with the most subscribers, as many as were
    asked for.

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
    rooms: Collection[Room], reads: Reads, meters: Meters, *, listed: int, quarantined: int, crashes: int
) -> EngineStatistics:
    """A snapshot of all rooms; goes once over them, and over the subscribers of those it lists.

    Args:
        rooms: in memory now.
        reads, meters: count what was read for them, and what they did.
        listed: how many of them to list.
        quarantined, crashes: as the parts that count them say.
    """
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
        rooms=tuple(map(_statistics_of_room, heapq.nlargest(listed, rooms, key=lambda room: len(room.clients)))),
    )


def _statistics_of_room(room: Room) -> RoomStatistics:
    """A snapshot of a room; goes once over its subscribers."""
    machine = room.machine
    head = 0 if machine is None else machine.tail.head
    return RoomStatistics(
        room.id,
        head,
        len(room.clients),
        0 if machine is None else len(machine.tail),
        0 if machine is None else machine.tail.size_bytes,
        0 if machine is None else len(machine.waiting),
        len(room.slot.mailbox),
        max(0, head - min((s.cursor for s in room.subscribers() if s.stage in _FOLLOWING), default=head)),
    )
